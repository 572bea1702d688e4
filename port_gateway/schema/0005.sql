-- One-time tokens with which booths get their first certificate. Only the digest of a token's secret is kept.
CREATE TABLE enrollment (
    token_id        TEXT PRIMARY KEY,
    booth_id        TEXT NOT NULL,
    secret_sha256   BLOB NOT NULL,
    expires_utc_us  INTEGER NOT NULL,
    tries_left      INTEGER NOT NULL,
    key_id          TEXT,              -- of the key that it was used for; then
    certificate     BLOB               -- what was issued, which the same key gets again
) STRICT, WITHOUT ROWID;
