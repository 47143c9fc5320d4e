from django.db import models

from apps.core.ids import uuid7


class Artifact(models.Model):
    """One stored blob: a path in the tenant's name space and the content it stands for."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    path = models.TextField(unique=True)
    content_type = models.CharField(max_length=255)
    size_bytes = models.BigIntegerField()
    checksum = models.CharField(max_length=64, help_text="BLAKE3 of the bytes, in hex.")
    backend = models.CharField(max_length=40)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, db_index=True)

    class Meta:
        indexes = [models.Index(fields=["checksum"], name="artifact_checksum")]

    def __str__(self) -> str:
        return self.path
