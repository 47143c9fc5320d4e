"""Conversations over HTTP: each principal sees their own. Asking is POST /v1/chat, a native stream."""

from typing import cast
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.content.api.chat_serializers import ConversationDetail, ConversationOutput
from apps.content.models import Conversation
from apps.content.selectors.conversations import (
    conversation_visible_to,
    conversations_visible_to,
    messages_of_conversation,
)
from apps.content.services.chat import delete_conversation
from apps.tenants.selectors import Principal


@extend_schema_view(get=extend_schema(operation_id="conversations_list"))
class ConversationsView(ListAPIView[Conversation]):
    """The caller's conversations, newest first."""

    serializer_class = ConversationOutput

    def get_queryset(self) -> QuerySet[Conversation]:
        return conversations_visible_to(_label(self.request))


class ConversationView(APIView):
    """One of the caller's conversations with its messages."""

    @extend_schema(operation_id="conversations_read", responses=ConversationDetail)
    def get(self, request: Request, conversation_id: UUID) -> Response:
        conversation = conversation_visible_to(_label(request), conversation_id)
        conversation.turns = messages_of_conversation(conversation)  # type: ignore[attr-defined]  # read by the output
        return Response(ConversationDetail(conversation).data)

    @extend_schema(operation_id="conversations_delete", responses={204: None})
    def delete(self, request: Request, conversation_id: UUID) -> Response:
        delete_conversation(conversation_id, principal=_label(request))
        return Response(status=204)


def _label(request: Request) -> str:
    return cast("Principal", request.user).owner
