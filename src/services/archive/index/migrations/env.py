"""What Alembic runs: on the connection it is given, in the transaction that is open there."""

from alembic import context

from services.archive.index.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True
)
context.run_migrations()
