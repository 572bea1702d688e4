-- Ports that a back-office may read beside its own.
CREATE TABLE readable_port (
    identity  TEXT NOT NULL,
    port      TEXT NOT NULL,
    PRIMARY KEY (identity, port)
) STRICT, WITHOUT ROWID;

-- Back-offices registered before this read every booth, and go on doing so.
INSERT OR IGNORE INTO readable_port
    SELECT DISTINCT office.identity, substr(booth.identity, 10, instr(substr(booth.identity, 10), '/') - 1)
    FROM trust office, trust booth
    WHERE office.role = 'back-office' AND office.replaced_utc_us IS NULL AND booth.role = 'booth';
