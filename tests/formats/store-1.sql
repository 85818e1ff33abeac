PRAGMA user_version = 1;
CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        started INTEGER NOT NULL,
        finished INTEGER,
        node TEXT NOT NULL,
        environment TEXT NOT NULL,
        model TEXT NOT NULL,
        revision TEXT NOT NULL,
        kept INTEGER, repaired INTEGER, not_kept INTEGER, held INTEGER
    );
CREATE TABLE judged (
        run INTEGER NOT NULL REFERENCES runs (id),
        promise TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (run, promise)
    );
CREATE INDEX judged_promise ON judged (promise, run);
CREATE TABLE services (unit TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE made (promise TEXT PRIMARY KEY, run INTEGER NOT NULL);
INSERT INTO runs VALUES (1, 1000000, 2000000, 'web1', 'production', '/srv/model', 'content 0123456789ab', 7, 1, 1, 0);
INSERT INTO runs VALUES (2, 3000000, NULL, 'web1', 'production', '/srv/model', 'content 0123456789ab', NULL, NULL, NULL, NULL);
INSERT INTO judged VALUES (1, 'file:/etc/motd', '{"promise":"file:/etc/motd","outcome":"repaired","changes":[{"line":"write 6 bytes (was 3)","detail":"--- /etc/motd (is)\n+++ /etc/motd (promised)\n@@ -1 +1 @@\n-it''s\n+hello\n"},{"line":"set mode 0600 -> 0644"}],"notes":["a note"],"origin":"servers/web.yaml:4"}');
INSERT INTO judged VALUES (1, 'service:nginx', '{"promise":"service:nginx","outcome":"not-kept","because":["it does not start","exit status 1"],"origin":"std/nginx.yaml:30"}');
INSERT INTO judged VALUES (2, 'package:nginx', '{"promise":"package:nginx","outcome":"begun","changes":[{"line":"install 1.22.1-9"}],"origin":"std/nginx.yaml:11"}');
INSERT INTO services VALUES ('nginx.service', '{"baseline":{"invocation":"aaaa","inputs":{"file:/etc/a":"0101010101010101010101010101010101010101010101010101010101010101"}},"debts":[{"action":"restart","cause":"package:nginx","invocation":"aaaa","since":1700000000000000}]}');
INSERT INTO services VALUES ('ssh.service', '{}');
