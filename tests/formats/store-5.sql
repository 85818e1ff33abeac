PRAGMA user_version = 5;
CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        started INTEGER NOT NULL,
        finished INTEGER,
        node TEXT NOT NULL,
        environment TEXT NOT NULL,
        model TEXT NOT NULL,
        revision TEXT NOT NULL,
        kept INTEGER, repaired INTEGER, not_kept INTEGER, held INTEGER,
        commit_id TEXT
    );
CREATE TABLE judged (
        run INTEGER NOT NULL REFERENCES runs (id),
        promise TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (run, promise)
    );
CREATE TABLE services (unit TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE scopes (
        scope TEXT PRIMARY KEY,
        epoch INTEGER NOT NULL,
        content TEXT NOT NULL,
        open INTEGER NOT NULL
    );
CREATE TABLE undo_ledger (
        id INTEGER PRIMARY KEY,
        scope TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        thing TEXT NOT NULL,
        promise TEXT NOT NULL,
        run INTEGER NOT NULL,
        revision TEXT NOT NULL,
        record TEXT NOT NULL
    );
CREATE INDEX undo_ledger_thing ON undo_ledger (thing, scope);
CREATE TABLE details (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES runs (id),
        promise TEXT NOT NULL,
        record TEXT NOT NULL
    );
CREATE UNIQUE INDEX details_promise ON details (run, promise);
CREATE TABLE instances (component TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE documents (
        component TEXT NOT NULL,
        digest TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (component, digest)
    );
CREATE TABLE told (component TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE happened (id INTEGER PRIMARY KEY, component TEXT NOT NULL, record TEXT NOT NULL);
INSERT INTO runs VALUES (1, 1000000, 2000000, 'web1', 'production', '/srv/model', 'content 0123456789ab', 7, 1, 1, 0, NULL);
INSERT INTO runs VALUES (2, 3000000, NULL, 'web1', 'production', '/srv/model', 'content 0123456789ab', NULL, NULL, NULL, NULL, NULL);
INSERT INTO judged VALUES (1, 'file:/etc/motd', '{"promise":"file:/etc/motd","outcome":"repaired","changes":[{"line":"write 6 bytes (was 3)"},{"line":"set mode 0600 -> 0644"}],"notes":["a note"],"origin":"servers/web.yaml:4"}');
INSERT INTO judged VALUES (1, 'service:nginx', '{"promise":"service:nginx","outcome":"not-kept","because":["it does not start","exit status 1"],"origin":"std/nginx.yaml:30"}');
INSERT INTO judged VALUES (2, 'package:nginx', '{"promise":"package:nginx","outcome":"begun","changes":[{"line":"install 1.22.1-9"}],"origin":"std/nginx.yaml:11"}');
INSERT INTO details VALUES (1, 1, 'file:/etc/motd', '["--- /etc/motd (is)\n+++ /etc/motd (promised)\n@@ -1 +1 @@\n-it''s\n+hello\n",null]');
INSERT INTO services VALUES ('nginx.service', '{"baseline":{"invocation":"aaaa","inputs":{"file:/etc/a":"0101010101010101010101010101010101010101010101010101010101010101"}},"debts":[{"action":"restart","cause":"package:nginx","invocation":"aaaa","since":1700000000000000}]}');
INSERT INTO services VALUES ('ssh.service', '{}');
INSERT INTO scopes VALUES ('node', 3, '0123456789abcdef', 0);
INSERT INTO scopes VALUES ('unit component:people/api', 2, '', 1);
INSERT INTO undo_ledger VALUES (1, 'unit component:people/api', 2, 'path:/srv/people-api/current', 'link:/srv/people-api/current', 2, 'content 0123456789ab', '{"before":{"is":"link","target":"1.3.0","uid":0,"gid":0},"left":{"is":"link","target":"1.4.0","uid":0,"gid":0}}');
INSERT INTO undo_ledger VALUES (10, 'node', 3, 'enabled:nginx.service', 'service:nginx', 1, 'content 0123456789ab', '{"before":{"is":"masked"},"left":{"is":"there"}}');
INSERT INTO undo_ledger VALUES (11, 'node', 3, 'package:curl', 'package:curl', 1, 'content 0123456789ab', '{"before":{"is":"unknown"},"left":{"is":"there"}}');
INSERT INTO undo_ledger VALUES (12, 'node', 3, 'setting:hostname:running', 'hostname:web-1', 1, 'content 0123456789ab', '{"before":{"is":"text","text":"debian"},"left":{"is":"text","text":"web-1"}}');
INSERT INTO undo_ledger VALUES (2, 'node', 3, 'path:/etc/folder', 'directory:/etc/folder', 1, 'content 0123456789ab', '{"before":{"is":"nothing"},"left":{"is":"directory","uid":0,"gid":0,"mode":"0755"}}');
INSERT INTO undo_ledger VALUES (3, 'node', 3, 'path:/etc/link', 'link:/etc/link', 1, 'content 0123456789ab', '{"before":{"is":"link","target":"a","uid":0,"gid":0},"left":{"is":"link","target":"b","uid":0,"gid":0}}');
INSERT INTO undo_ledger VALUES (4, 'node', 3, 'path:/etc/motd', 'file:/etc/motd', 1, 'content 0123456789ab', '{"before":{"is":"file","digest":"0101010101010101010101010101010101010101010101010101010101010101","uid":0,"gid":0,"mode":"0644"},"left":{"is":"file","keyed":"0202020202020202020202020202020202020202020202020202020202020202","uid":0,"gid":4,"mode":"0640"},"readers":[{"unit":"nginx.service","owes":"reload"}],"begun":true}');
INSERT INTO undo_ledger VALUES (5, 'node', 3, 'group:web', 'group:web', 1, 'content 0123456789ab', '{"before":{"is":"nothing"},"left":{"is":"group","gid":990}}');
INSERT INTO undo_ledger VALUES (6, 'node', 3, 'member:adm:ann', 'group:adm', 1, 'content 0123456789ab', '{"before":{"is":"nothing"},"left":{"is":"there"}}');
INSERT INTO undo_ledger VALUES (7, 'node', 3, 'user:deploy', 'user:deploy', 1, 'content 0123456789ab', '{"before":{"is":"nothing"},"left":{"is":"user","line":"0303030303030303030303030303030303030303030303030303030303030303"}}');
INSERT INTO undo_ledger VALUES (8, 'node', 3, 'keys:ann', 'user:ann', 1, 'content 0123456789ab', '{"before":{"is":"nothing"},"left":{"is":"keys","block":"0404040404040404040404040404040404040404040404040404040404040404"}}');
INSERT INTO undo_ledger VALUES (9, 'node', 3, 'running:nginx.service', 'service:nginx', 1, 'content 0123456789ab', '{"before":{"is":"nothing"},"left":{"is":"there"}}');
INSERT INTO instances VALUES ('people/api', '{"directory":"/srv/people-api","position":"1.3","incarnation":1,"row":{"current":{"own":"31c0ffee","public":"32c0ffee","folder":"31c0ffee0000","release":"1.3.0","terms":{"digest":"7e","switch":"restart","units":"11","within":30000,"for":5000,"bake":600000,"drains":true,"readies":true,"drain_for":30000,"quiesces":null}},"previous":{"own":"21c0ffee","public":"22c0ffee","folder":"21c0ffee0000","release":"1.2.0","terms":{"digest":"7e","switch":"restart","units":"11","within":30000,"for":5000,"bake":600000,"drains":true,"readies":true,"drain_for":30000,"quiesces":null}},"step":null,"bad":[],"again":null,"owed":{"ready":false,"quiesced":false,"units":[],"failed":[]},"sighted":null,"measured":[["restart",740]],"steps":12},"started":{"people-api.service":["0a1b2c3d","31c0ffee"]},"good":["11c0ffee","21c0ffee","31c0ffee"],"verified":1764460800}');
INSERT INTO documents VALUES ('people/api', '31c0ffee', '{"format":1}');
INSERT INTO told VALUES ('people/api', '{"outcome":"held","step":"held","from":"1.3.0","to":"1.4.0","reason":"outside of its window","since":1790000000}');
INSERT INTO happened VALUES (1, 'people/api', '{"event":"step","at":1780000000,"step":12,"outcome":"repaired","ended":"committed","from":"1.2.0","to":"1.3.0","reason":null,"gap_ms":480,"open_connections":3,"by":"Ann"}');
INSERT INTO happened VALUES (2, 'people/api', '{"event":"task","at":1780000100,"by":"Ann","command":["bin/api","count"],"code":0,"ms":1200}');
INSERT INTO happened VALUES (3, 'people/api', '{"event":"retry","at":1780000200,"by":"Ann","release":"1.4.0"}');
