"""How the tables of the index came to be: one file a revision, run by Alembic (`index.migrate`)."""
