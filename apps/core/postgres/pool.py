"""Callbacks of the connection pool; importable before Django's apps are."""

from typing import Any

import psycopg


def reset_connection(connection: "psycopg.Connection[Any]") -> None:
    """A connection goes back to the pool without a tenant."""
    connection.execute("SELECT set_config('search_path', 'public', false), set_config('app.tenant', '', false)")
    if not connection.autocommit:
        connection.commit()
