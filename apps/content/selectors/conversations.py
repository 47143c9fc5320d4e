"""Reading conversations. A conversation belongs to the principal who started it; nobody else can tell it exists."""

from uuid import UUID

from django.db.models import QuerySet

from apps.content.errors import ConversationMissing
from apps.content.models import Conversation, Message


def conversations_visible_to(principal: str) -> QuerySet[Conversation]:
    """The principal's conversations."""
    return Conversation.objects.filter(principal=principal)


def conversation_visible_to(principal: str, conversation_id: UUID) -> Conversation:
    """One of them. Raises ConversationMissing."""
    found = conversations_visible_to(principal).filter(pk=conversation_id).first()
    if found is None:
        raise ConversationMissing("There is no such conversation.")
    return found


def messages_of_conversation(conversation: Conversation, *, limit: int = 500) -> list[Message]:
    """The turns in order, at most the last `limit`."""
    return list(conversation.messages.order_by("-id")[:limit])[::-1]
