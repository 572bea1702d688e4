-- What lanes did, a row for each LaneStatistics among the events: filled as they come, so that a year is read in seconds.
-- It says nothing that the events do not say; `port-gateway verify` compares the two.
CREATE TABLE lane (
    id        INTEGER PRIMARY KEY,
    booth_id  TEXT NOT NULL,
    lane_id   TEXT NOT NULL,
    UNIQUE (booth_id, lane_id)
) STRICT;

CREATE TABLE lane_quarter (
    lane          INTEGER NOT NULL,  -- lane.id
    quarter_s     INTEGER NOT NULL,  -- where the quarter begins, seconds since 1970
    cursor        INTEGER NOT NULL,  -- of its row in `event`
    covered_s     REAL NOT NULL,
    unsynced_s    REAL NOT NULL,     -- of those, on a clock that followed nothing
    clock_set     INTEGER NOT NULL,  -- 1: the clock was set at its end
    arrived       INTEGER NOT NULL,
    complete      INTEGER NOT NULL,
    incomplete    INTEGER NOT NULL,
    abandoned     INTEGER NOT NULL,
    dwell_sum_s   REAL NOT NULL,
    dwell_min_s   REAL,              -- NULL: there is none
    dwell_max_s   REAL,
    gap_sum_s     REAL NOT NULL,
    gap_min_s     REAL,
    gap_max_s     REAL,
    service_sum_s REAL NOT NULL,
    service_min_s REAL,
    service_max_s REAL,
    gamma_alarms   INTEGER NOT NULL,
    neutron_alarms INTEGER NOT NULL,
    unassigned    INTEGER NOT NULL,
    up_s          REAL NOT NULL,     -- of its devices together
    down_s        REAL NOT NULL,
    unknown_s     REAL NOT NULL,
    counts        BLOB NOT NULL,     -- bins, confidences and what was missing (lane_quarters.py)
    devices       TEXT NOT NULL,     -- JSON: [device, up_s, down_s, unknown_s], …
    PRIMARY KEY (lane, quarter_s, cursor)
) STRICT, WITHOUT ROWID;
