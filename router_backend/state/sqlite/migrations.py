"""The SQLite schema, as the steps that lead to it. `PRAGMA user_version` holds the number of steps taken.

A step is never changed once released; a change of the schema is a further step.
"""

from __future__ import annotations

import sqlite3

from router_backend.state.store import StoreMisconfigured

APPLICATION_ID = 0x4C4C4D52  # "LLMR": tells a state file from any other SQLite database

_V1 = """
CREATE TABLE decisions (
    decision_id TEXT PRIMARY KEY, created REAL NOT NULL, model TEXT NOT NULL, body BLOB NOT NULL, context BLOB NOT NULL
);
CREATE INDEX decisions_created ON decisions (created);
CREATE TABLE outcomes (decision_id TEXT PRIMARY KEY, completed REAL NOT NULL, served TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX outcomes_completed ON outcomes (completed);
CREATE TABLE feedback (
    decision_id TEXT PRIMARY KEY, received REAL NOT NULL, arm TEXT NOT NULL, quality REAL NOT NULL, cost REAL NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX feedback_received ON feedback (received);
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, decision_id TEXT NOT NULL, arm TEXT NOT NULL, at REAL NOT NULL,
    embedding_space INTEGER NOT NULL, context BLOB NOT NULL, task TEXT NOT NULL, quality REAL NOT NULL,
    cost REAL NOT NULL, output_tokens INTEGER
);
CREATE TABLE counters (arm TEXT PRIMARY KEY, decisions INTEGER NOT NULL DEFAULT 0, feedback INTEGER NOT NULL DEFAULT 0);
"""

# Feedback that waits before it teaches: '' (it doesn't), 'implicit' or 'unanswered' (state.credit).
_V2 = """
ALTER TABLE feedback ADD COLUMN pending TEXT NOT NULL DEFAULT '';
CREATE INDEX feedback_pending ON feedback (pending, received) WHERE pending <> '';
"""

# What keys have spent by day and by month (state.spend); the current month's is taken from the outcomes.
_V3 = """
CREATE TABLE spend (
    period TEXT NOT NULL, key TEXT NOT NULL, usd REAL NOT NULL, PRIMARY KEY (period, key)
) WITHOUT ROWID;
INSERT INTO spend
SELECT strftime(format, completed, 'unixepoch'), json_extract(CAST(body AS TEXT), '$.key') AS key,
    sum(json_extract(CAST(body AS TEXT), '$.cost')) AS usd
FROM outcomes, (SELECT '%Y-%m-%d' AS format UNION SELECT '%Y-%m')
WHERE completed >= strftime('%s', 'now', 'start of month') + 0 AND json_extract(CAST(body AS TEXT), '$.key') <> ''
GROUP BY 1, 2 HAVING usd > 0;
"""

# The tokens of an observation's answer, as JSON.
_V4 = "ALTER TABLE events ADD COLUMN usage BLOB"

# Which store this is, and until when its clock is believed (sqlite.clock).
_V5 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('identity', lower(hex(randomblob(16))));
INSERT INTO meta SELECT 'clock', coalesce(max(created), strftime('%s', 'now') + 0.0) FROM decisions;
"""

# What was learned up to a position of the log, and who writes it. `log` names the log; a reset changes it.
_V6 = """
CREATE TABLE checkpoints (
    key TEXT NOT NULL, sequence INTEGER NOT NULL, written REAL NOT NULL, body BLOB NOT NULL, PRIMARY KEY (key, sequence)
);
CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, ends REAL NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('log', lower(hex(randomblob(16))));
"""

# Where an observation's quality comes from, what else its answer was scored with (JSON), and which revision answered.
_V7 = """
ALTER TABLE events ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN judged BLOB;
ALTER TABLE events ADD COLUMN revision TEXT NOT NULL DEFAULT '';
"""

# Answers that clients ask for again.
_V8 = """
CREATE TABLE responses (response_id TEXT PRIMARY KEY, key TEXT NOT NULL, created REAL NOT NULL, body BLOB NOT NULL);
CREATE INDEX responses_created ON responses (created);
"""

# Rates that gateways share (state.rates).
_V9 = """
CREATE TABLE rates (name TEXT PRIMARY KEY, tokens REAL NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE gateways (name TEXT PRIMARY KEY, seen REAL NOT NULL) WITHOUT ROWID;
"""

# Who reads the log, and how far (state.compaction).
_V10 = """
CREATE TABLE readers (
    name TEXT PRIMARY KEY, log TEXT NOT NULL, key TEXT NOT NULL, sequence INTEGER NOT NULL, seen REAL NOT NULL
) WITHOUT ROWID;
"""

# Answers are bounded by key.
_V11 = """
CREATE INDEX responses_key ON responses (key, created);
"""

STEPS: tuple[str, ...] = (_V1, _V2, _V3, _V4, _V5, _V6, _V7, _V8, _V9, _V10, _V11)
VERSION = len(STEPS)


def schema_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def migrate(connection: sqlite3.Connection, where: str) -> None:
    """Bring a database (in autocommit mode) to `VERSION` in one transaction; nothing happens if it is there.

    Raises:
        StoreMisconfigured: the file belongs to something else, or to a newer llm-router.
        sqlite3.Error: as SQLite does; the file is as it was.
    """
    if schema_version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")  # several processes may open a new file at once
    try:
        version = schema_version(connection)
        if version > VERSION:
            raise StoreMisconfigured(
                f"{where}: written by a newer llm-router (state schema {version}, this build knows {VERSION});"
                " upgrade this one, or `llm-router state export` with the newer and import here into an empty folder"
            )
        if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreMisconfigured(f"{where}: an SQLite file, but not llm-router's; name another file in `state:`")
        for step in STEPS[version:]:
            for statement in filter(str.strip, step.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
