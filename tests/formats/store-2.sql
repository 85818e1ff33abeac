PRAGMA user_version = 2;
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
CREATE TABLE made (
        id INTEGER PRIMARY KEY,
        thing TEXT NOT NULL,
        adoption INTEGER NOT NULL,
        promise TEXT NOT NULL,
        run INTEGER NOT NULL,
        revision TEXT NOT NULL,
        record TEXT NOT NULL
    );
CREATE INDEX made_thing ON made (thing);
INSERT INTO runs VALUES (1, 1000000, 2000000, 'web1', 'production', '/srv/model', 'content 0123456789ab', 7, 1, 1, 0);
INSERT INTO runs VALUES (2, 3000000, NULL, 'web1', 'production', '/srv/model', 'content 0123456789ab', NULL, NULL, NULL, NULL);
INSERT INTO judged VALUES (1, 'file:/etc/motd', '{"promise":"file:/etc/motd","outcome":"repaired","changes":[{"line":"write 6 bytes (was 3)","detail":"--- /etc/motd (is)\n+++ /etc/motd (promised)\n@@ -1 +1 @@\n-it''s\n+hello\n"},{"line":"set mode 0600 -> 0644"}],"notes":["a note"],"origin":"servers/web.yaml:4"}');
INSERT INTO judged VALUES (1, 'service:nginx', '{"promise":"service:nginx","outcome":"not-kept","because":["it does not start","exit status 1"],"origin":"std/nginx.yaml:30"}');
INSERT INTO judged VALUES (2, 'package:nginx', '{"promise":"package:nginx","outcome":"begun","changes":[{"line":"install 1.22.1-9"}],"origin":"std/nginx.yaml:11"}');
INSERT INTO services VALUES ('nginx.service', '{"baseline":{"invocation":"aaaa","inputs":{"file:/etc/a":"0101010101010101010101010101010101010101010101010101010101010101"}},"debts":[{"action":"restart","cause":"package:nginx","invocation":"aaaa","since":1700000000000000}]}');
INSERT INTO services VALUES ('ssh.service', '{}');
INSERT INTO notes VALUES ('adoption', '3 0123456789abcdef');
INSERT INTO made VALUES (1, 'path:/etc/folder', 3, 'directory:/etc/folder', 1, 'content 0123456789ab', '{"before":{"is":"nothing"},"left":{"is":"directory","uid":0,"gid":0,"mode":"0755"}}');
INSERT INTO made VALUES (10, 'package:curl', 3, 'package:curl', 1, 'content 0123456789ab', '{"before":{"is":"unknown"},"left":{"is":"there"}}');
INSERT INTO made VALUES (2, 'path:/etc/link', 3, 'link:/etc/link', 1, 'content 0123456789ab', '{"before":{"is":"link","target":"a","uid":0,"gid":0},"left":{"is":"link","target":"b","uid":0,"gid":0}}');
INSERT INTO made VALUES (3, 'path:/etc/motd', 3, 'file:/etc/motd', 1, 'content 0123456789ab', '{"before":{"is":"file","digest":"0101010101010101010101010101010101010101010101010101010101010101","uid":0,"gid":0,"mode":"0644"},"left":{"is":"file","keyed":"0202020202020202020202020202020202020202020202020202020202020202","uid":0,"gid":4,"mode":"0640"},"readers":[{"unit":"nginx.service","owes":"reload"}],"begun":true}');
INSERT INTO made VALUES (4, 'group:web', 3, 'group:web', 1, 'content 0123456789ab', '{"before":{"is":"nothing"},"left":{"is":"group","gid":990}}');
INSERT INTO made VALUES (5, 'member:adm:ann', 3, 'group:adm', 1, 'content 0123456789ab', '{"before":{"is":"nothing"},"left":{"is":"there"}}');
INSERT INTO made VALUES (6, 'user:deploy', 3, 'user:deploy', 1, 'content 0123456789ab', '{"before":{"is":"nothing"},"left":{"is":"user","line":"0303030303030303030303030303030303030303030303030303030303030303"}}');
INSERT INTO made VALUES (7, 'keys:ann', 3, 'user:ann', 1, 'content 0123456789ab', '{"before":{"is":"nothing"},"left":{"is":"keys","block":"0404040404040404040404040404040404040404040404040404040404040404"}}');
INSERT INTO made VALUES (8, 'running:nginx.service', 3, 'service:nginx', 1, 'content 0123456789ab', '{"before":{"is":"nothing"},"left":{"is":"there"}}');
INSERT INTO made VALUES (9, 'enabled:nginx.service', 3, 'service:nginx', 1, 'content 0123456789ab', '{"before":{"is":"masked"},"left":{"is":"there"}}');
