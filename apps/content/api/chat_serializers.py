"""The shapes of conversations."""

from typing import Any

from rest_framework import serializers

from apps.content.models import Conversation, Message


class ConversationOutput(serializers.ModelSerializer[Conversation]):
    class Meta:
        model = Conversation
        fields = ("id", "title", "created_at", "updated_at")


class CitationOutput(serializers.Serializer[Any]):
    n = serializers.IntegerField()
    container_id = serializers.UUIDField()
    document_id = serializers.UUIDField()
    start = serializers.IntegerField()
    end = serializers.IntegerField()
    text = serializers.CharField()


class MessageOutput(serializers.ModelSerializer[Message]):
    mode = serializers.CharField(
        help_text="llm, extractive or not_found; empty for a question or an unfinished answer."
    )
    citations = CitationOutput(many=True)

    class Meta:
        model = Message
        fields = ("id", "role", "content", "mode", "citations", "model", "created_at")


class ConversationDetail(serializers.ModelSerializer[Conversation]):
    messages = MessageOutput(many=True, source="turns")

    class Meta:
        model = Conversation
        fields = ("id", "title", "created_at", "updated_at", "messages")
