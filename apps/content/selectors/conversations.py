"""Reading conversations. A conversation belongs to the principal who started it; nobody else can tell it exists."""

from uuid import UUID

from django.db.models import QuerySet

from apps.content.models import Conversation, Message
from apps.core.errors import NotFound


class ConversationNotFound(NotFound):
    """No conversation of this principal has this id."""

    code = "conversation_not_found"


def conversations_visible_to(principal: str) -> QuerySet[Conversation]:
    """The principal's conversations."""
    return Conversation.objects.filter(principal=principal)


def conversation_visible_to(principal: str, conversation_id: UUID) -> Conversation:
    """One of them. Raises ConversationNotFound."""
    found = conversations_visible_to(principal).filter(pk=conversation_id).first()
    if found is None:
        raise ConversationNotFound("There is no such conversation.")
    return found


def messages_of_conversation(conversation: Conversation, *, limit: int = 500) -> list[Message]:
    """The turns in order, at most the last `limit`."""
    return list(conversation.messages.order_by("-id")[:limit])[::-1]
