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
INSERT INTO runs VALUES (1, 1796021862595589, 1796021863517139, 'node1.example.test', 'test', '/var/lib/steadfast/content/b1d63d794eaa3402a6f331f9435777b58f6ab0857b7ae7486835604d180e7e9c', 'content 12ac803dd1e7', 0, 8, 0, 0);
INSERT INTO runs VALUES (2, 1796021863926966, NULL, 'node1.example.test', 'test', '/srv/model', 'content 12ac803dd1e7', NULL, NULL, NULL, NULL);
INSERT INTO judged VALUES (1, 'service:demo', '{"promise":"service:demo","outcome":"repaired","changes":[{"line":"restart (file:/etc/demo/demo.conf changed)"}],"origin":"servers/web.yaml:3"}');
INSERT INTO judged VALUES (1, 'service:worker', '{"promise":"service:worker","outcome":"repaired","changes":[{"line":"write /etc/systemd/system/worker.service, 77 bytes (new, mode 0644)","detail":"--- /etc/systemd/system/worker.service (is)\n+++ /etc/systemd/system/worker.service (promised)\n@@ -0,0 +1,4 @@\n+[Service]\n+ExecStart=/bin/sleep infinity\n+[Install]\n+WantedBy=multi-user.target\n"},{"line":"enable"},{"line":"let systemd read its unit files again"},{"line":"start"}],"origin":"servers/web.yaml:4"}');
INSERT INTO judged VALUES (1, 'file:/etc/worker.conf', '{"promise":"file:/etc/worker.conf","outcome":"repaired","changes":[{"line":"write 15 bytes (new, mode 0644)","detail":"--- /etc/worker.conf (is)\n+++ /etc/worker.conf (promised)\n@@ -0,0 +1 @@\n+for the worker\n"}],"origin":"servers/web.yaml:10"}');
INSERT INTO judged VALUES (1, 'file:/etc/demo/demo.conf', '{"promise":"file:/etc/demo/demo.conf","outcome":"repaired","changes":[{"line":"write 17 bytes (was 26)","detail":"--- /etc/demo/demo.conf (is)\n+++ /etc/demo/demo.conf (promised)\n@@ -1 +1 @@\n-greeting = hello from 1.0\n+greeting = hello\n"}],"origin":"servers/web.yaml:11"}');
INSERT INTO judged VALUES (1, 'file:/etc/new', '{"promise":"file:/etc/new","outcome":"repaired","changes":[{"line":"write 5 bytes (new, mode 0644)","detail":"--- /etc/new (is)\n+++ /etc/new (promised)\n@@ -0,0 +1 @@\n+ours\n"}],"origin":"servers/web.yaml:12"}');
INSERT INTO judged VALUES (1, 'file:/etc/theirs', '{"promise":"file:/etc/theirs","outcome":"repaired","changes":[{"line":"write 5 bytes (was 7), mode 0600 -> 0644","detail":"--- /etc/theirs (is)\n+++ /etc/theirs (promised)\n@@ -1 +1 @@\n-theirs\n+ours\n"}],"origin":"servers/web.yaml:13"}');
INSERT INTO judged VALUES (1, 'user:deploy', '{"promise":"user:deploy","outcome":"repaired","changes":[{"line":"add user (uid 2000, new group deploy, home /home/deploy, comment Deployments)"}],"origin":"servers/web.yaml:15"}');
INSERT INTO judged VALUES (1, 'cron:purge', '{"promise":"cron:purge","outcome":"repaired","changes":[{"line":"write 102 bytes (new, mode 0644)","detail":"--- /etc/cron.d/purge (is)\n+++ /etc/cron.d/purge (promised)\n@@ -0,0 +1,2 @@\n+# Kept by steadfast as cron:purge; what is changed here by hand does not last.\n+*/15 * * * * root true\n"}],"origin":"servers/web.yaml:17"}');
INSERT INTO judged VALUES (2, 'file:/etc/demo/demo.conf', '{"promise":"file:/etc/demo/demo.conf","outcome":"begun","changes":[{"line":"write 17 bytes (was 19)","detail":"--- /etc/demo/demo.conf (is)\n+++ /etc/demo/demo.conf (promised)\n@@ -1 +1 @@\n-greeting = by hand\n+greeting = hello\n"}],"origin":"servers/web.yaml:11"}');
INSERT INTO judged VALUES (2, 'service:demo', '{"promise":"service:demo","outcome":"begun","changes":[{"line":"restart (file:/etc/demo/demo.conf changed)"}],"origin":"servers/web.yaml:3"}');
INSERT INTO services VALUES ('worker.service', '{"baseline":{"invocation":"@worker@","inputs":{"file:/etc/systemd/system/worker.service":"db5b9074475ba123c290585e7ab883802420d55b33548ad8abc667ec13f7f973","file:/etc/worker.conf":"154e9ed36cdf863a6d631b977c8305d90cf74092edd7bde76a179d61e4cbb9be"}}}');
INSERT INTO services VALUES ('demo.service', '{"baseline":{"invocation":"5284d5be49a2445bae692c338fa1b75b","inputs":{"file:/etc/demo/demo.conf":"9a75b8da2745e994b51cba27db86a49dd4b63e1d75f37421169498a7fc898527"}},"debts":[{"action":"restart","cause":"file:/etc/demo/demo.conf","invocation":"@demo@","since":@now@}]}');
INSERT INTO notes VALUES ('adoption', '1 b1d63d794eaa3402a6f331f9435777b58f6ab0857b7ae7486835604d180e7e9c');
INSERT INTO made VALUES (1, 'user:deploy', 1, 'user:deploy', 1, 'content 12ac803dd1e7', '{"before":{"is":"nothing"},"left":{"is":"user","line":"1a98c20170092be4357891d1b1c8def9890990275debaba22aea7a104edcfd56"}}');
INSERT INTO made VALUES (2, 'group:deploy', 1, 'user:deploy', 1, 'content 12ac803dd1e7', '{"before":{"is":"nothing"},"left":{"is":"group","gid":2000}}');
INSERT INTO made VALUES (3, 'path:/etc/worker.conf', 1, 'file:/etc/worker.conf', 1, 'content 12ac803dd1e7', '{"before":{"is":"nothing"},"left":{"is":"file","digest":"6053f64000dae7bfea4baa4ccd0239d4e79ed21a8002d7a8a51021e77ebcf14a","uid":0,"gid":0,"mode":"0644"},"readers":[{"unit":"worker.service","owes":"restart"}]}');
INSERT INTO made VALUES (4, 'path:/etc/demo/demo.conf', 1, 'file:/etc/demo/demo.conf', 1, 'content 12ac803dd1e7', '{"before":{"is":"file","digest":"3001dc0f74858246c87831e3d16a16bdbac1ca80de337a7f6cfeb54c86ff4fe9","uid":0,"gid":0,"mode":"0644"},"left":{"is":"file","digest":"6783839fe54f0040d9ee89d265c686aa7386261605d89dfbb4be261d5a956f38","uid":0,"gid":0,"mode":"0644"},"readers":[{"unit":"demo.service","owes":"restart"}]}');
INSERT INTO made VALUES (5, 'path:/etc/new', 1, 'file:/etc/new', 1, 'content 12ac803dd1e7', '{"before":{"is":"nothing"},"left":{"is":"file","digest":"13102ad5e68a577a21dbe1aa6b16189e93e979278d6b9917d7f279a9a3dabd16","uid":0,"gid":0,"mode":"0644"}}');
INSERT INTO made VALUES (6, 'path:/etc/theirs', 1, 'file:/etc/theirs', 1, 'content 12ac803dd1e7', '{"before":{"is":"file","digest":"ed9c86a61e05623abeb71f9eeda8780dab0e28a2f69bb54813f99a2ec4b3602f","uid":0,"gid":0,"mode":"0600"},"left":{"is":"file","digest":"13102ad5e68a577a21dbe1aa6b16189e93e979278d6b9917d7f279a9a3dabd16","uid":0,"gid":0,"mode":"0644"}}');
INSERT INTO made VALUES (7, 'path:/etc/cron.d/purge', 1, 'cron:purge', 1, 'content 12ac803dd1e7', '{"before":{"is":"nothing"},"left":{"is":"file","digest":"841b835da9f4a237d5efac774459ed599562b329a7727382e8a01f7a68d1ab98","uid":0,"gid":0,"mode":"0644"}}');
INSERT INTO made VALUES (8, 'path:/etc/systemd/system/worker.service', 1, 'service:worker', 1, 'content 12ac803dd1e7', '{"before":{"is":"nothing"},"left":{"is":"file","digest":"aca6827c87268730d0495ef6be12f23973584145eac0b598d2de8b8c6d51a05b","uid":0,"gid":0,"mode":"0644"},"readers":[{"unit":"worker.service","owes":"restart"}]}');
INSERT INTO made VALUES (9, 'enabled:worker.service', 1, 'service:worker', 1, 'content 12ac803dd1e7', '{"before":{"is":"nothing"},"left":{"is":"there"}}');
INSERT INTO made VALUES (10, 'running:worker.service', 1, 'service:worker', 1, 'content 12ac803dd1e7', '{"before":{"is":"nothing"},"left":{"is":"there"}}');
INSERT INTO made VALUES (11, 'path:/etc/demo/demo.conf', -1, 'file:/etc/demo/demo.conf', 2, 'content 12ac803dd1e7', '{"before":{"is":"file","digest":"f9f99b810b6d66c581af30b052414bcb6403db202b38b5f228f0f61c0d9b3d04","uid":0,"gid":0,"mode":"0644"},"left":{"is":"file","digest":"6783839fe54f0040d9ee89d265c686aa7386261605d89dfbb4be261d5a956f38","uid":0,"gid":0,"mode":"0644"},"readers":[{"unit":"demo.service","owes":"restart"}]}');
