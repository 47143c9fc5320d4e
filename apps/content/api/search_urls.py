from django.urls import path

from apps.content.api import chat_views, search_views

urlpatterns = [
    path("search", search_views.SearchView.as_view()),
    path("conversations", chat_views.ConversationsView.as_view()),
    path("conversations/<uuid:conversation_id>", chat_views.ConversationView.as_view()),
]
