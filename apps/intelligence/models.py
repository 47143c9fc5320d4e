from django.db import models
from django.db.models import BigIntegerField, Func, TextField
from django.db.models.functions import Cast
from pgvector.django import VectorField


class CurrentTransaction(Func):
    """This transaction's id, which never wraps (xid8)."""

    function = "pg_current_xact_id"
    arity = 0
    output_field = TextField()


def _transaction_number() -> Cast:
    return Cast(Cast(CurrentTransaction(), TextField()), BigIntegerField())


class Embedding(models.Model):
    """The vector of one text under one model. Written once, never changed; equal text has one row.

    `changed_xid` is the writing transaction: the index reads on from the oldest transaction that was open last time.
    """

    label = models.BigAutoField(primary_key=True)
    model_id = models.CharField(max_length=200)
    text_hash = models.CharField(max_length=64)
    vector = VectorField()
    changed_xid = models.BigIntegerField(db_default=_transaction_number(), editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model_id", "text_hash"], name="embedding_once_per_text")]
        indexes = [models.Index(fields=["model_id", "changed_xid"], name="embedding_changes")]

    def __str__(self) -> str:
        return f"{self.model_id} {self.text_hash[:12]}"


class EmbeddingTombstone(models.Model):
    """An embedding that was deleted: tells the index to drop the label. Pruned once every index has caught up."""

    label = models.BigIntegerField(primary_key=True)
    model_id = models.CharField(max_length=200)
    changed_xid = models.BigIntegerField(db_default=_transaction_number(), editable=False)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        indexes = [models.Index(fields=["model_id", "changed_xid"], name="tombstone_changes")]

    def __str__(self) -> str:
        return f"{self.model_id} {self.label}"
