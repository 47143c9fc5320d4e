"""The API's shared base: strict JSON in, problem+json out, roles, cursors. Views live in each app's own `api`."""
