-- Ports that a back-office may read beside its own.
CREATE TABLE readable_port (
    identity  TEXT NOT NULL,
    port      TEXT NOT NULL,
    PRIMARY KEY (identity, port)
) STRICT, WITHOUT ROWID;
