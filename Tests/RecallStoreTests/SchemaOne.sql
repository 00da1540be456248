-- A database of schema 1, as the first version of the program made it: one run is finished, one was interrupted after
-- an epoch, one kernel was measured. Never edit what is here: it stands for files that people have.
PRAGMA application_id = 1380142146; PRAGMA user_version = 1;
CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
INSERT INTO grdb_migrations VALUES ('v1');

CREATE TABLE tasks (
    hash TEXT NOT NULL PRIMARY KEY,
    spec TEXT NOT NULL                      -- canonical JSON
) STRICT;

-- A run is one specification: what it is, what became of it, and who works on it.
CREATE TABLE runs (
    run_id TEXT NOT NULL PRIMARY KEY,
    spec TEXT NOT NULL,                     -- canonical JSON of the whole RunSpec
    task_hash TEXT NOT NULL REFERENCES tasks (hash),
    data_seed ANY NOT NULL,                 -- an integer; text above 2^63 - 1
    config TEXT NOT NULL,                   -- canonical JSON of the model
    d_model INTEGER NOT NULL,
    layers INTEGER NOT NULL,
    vocab_size INTEGER NOT NULL,
    learning_rate REAL NOT NULL,
    seed ANY NOT NULL,                      -- as data_seed
    precision TEXT NOT NULL,
    parameters INTEGER NOT NULL,
    state_bytes INTEGER NOT NULL,
    state_bytes_zoology INTEGER,
    status TEXT NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'running', 'finished', 'failed', 'interrupted')),
    error TEXT,
    epochs INTEGER,                         -- done so far
    steps INTEGER,
    train_loss REAL,
    validation_loss REAL,
    validation_accuracy REAL,
    test_loss REAL,
    test_accuracy REAL,
    train_seconds REAL,
    tokens_per_second REAL,
    device TEXT,
    version TEXT,
    "commit" TEXT,
    planned_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT,
    lease_host TEXT,
    lease_machine TEXT,
    lease_pid INTEGER,
    lease_process_start INTEGER,
    lease_heartbeat TEXT,
    CHECK ((status = 'running') = (lease_pid IS NOT NULL))
) STRICT;
CREATE INDEX runs_on_status ON runs (status);
CREATE INDEX runs_on_task_hash ON runs (task_hash);

CREATE TABLE suites (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    control_model TEXT,
    control_minimum REAL,
    content_hash TEXT,                      -- of the suite's file, when it came from one
    planned_at TEXT NOT NULL
) STRICT;

-- A run may belong to several suites, under another name in each.
CREATE TABLE suite_runs (
    suite TEXT NOT NULL REFERENCES suites (name) ON DELETE CASCADE,
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    model TEXT NOT NULL,
    task TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (suite, run_id, model, task)
) STRICT, WITHOUT ROWID;
CREATE INDEX suite_runs_on_run_id ON suite_runs (run_id);

CREATE TABLE slices (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    split TEXT NOT NULL CHECK (split IN ('train', 'validation', 'test')),
    segment INTEGER NOT NULL,               -- its place in the split, from 0
    sequence_length INTEGER NOT NULL,
    kv_pairs INTEGER NOT NULL,
    examples INTEGER NOT NULL,
    accuracy REAL,
    PRIMARY KEY (run_id, split, segment)
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    epoch INTEGER NOT NULL,
    step INTEGER NOT NULL,
    learning_rate REAL NOT NULL,
    train_loss REAL,
    validation_loss REAL,
    validation_accuracy REAL,
    seconds REAL,
    PRIMARY KEY (run_id, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE benchmarks (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    device TEXT NOT NULL,
    precision TEXT NOT NULL,
    threads INTEGER NOT NULL,
    shape TEXT NOT NULL,                    -- compact JSON
    median_ms REAL NOT NULL,
    min_ms REAL NOT NULL,
    floor_ms REAL,
    gflop REAL,
    gbyte REAL,
    examples_per_second REAL,
    tokens_per_second REAL,
    "commit" TEXT,
    measured_at TEXT NOT NULL
) STRICT;
CREATE INDEX benchmarks_on_kind_name ON benchmarks (kind, name);

INSERT INTO tasks (hash, spec)
VALUES ('81d40f0d7e187d90a3d92da7497d457468a6ccde40cc76afa484a98908ea8a9d', '{"data_seed":123,"fillers":"any","power_a":0.01,"random_non_queries":true,"test":[{"examples":64,"kv_pairs":2,"sequence_length":16}],"train":[{"examples":400,"kv_pairs":2,"sequence_length":16}],"validation":[{"examples":64,"kv_pairs":2,"sequence_length":16}],"vocab_size":64}');
INSERT INTO runs (run_id, spec, task_hash, data_seed, config, d_model, layers, vocab_size, learning_rate, seed, precision, parameters, state_bytes, state_bytes_zoology, status, epochs, steps, train_loss, validation_loss, validation_accuracy, test_loss, test_accuracy, train_seconds, tokens_per_second, device, version, "commit", planned_at, started_at, finished_at)
VALUES ('637cdb60be92a985', '{"model":{"block":"transformer","d_model":16,"embed_dropout":0.1,"init":"paper","layers":[{"kernel_size":3,"mixer":"base-conv"},{"dropout":0,"heads":1,"mixer":"attention","rope":false}],"norm_epsilon":1e-05,"positions":"none","residual_dropout":0,"state_mixer":"none"},"seed":0,"task":{"data_seed":123,"fillers":"any","power_a":0.01,"random_non_queries":true,"test":[{"examples":64,"kv_pairs":2,"sequence_length":16}],"train":[{"examples":400,"kv_pairs":2,"sequence_length":16}],"validation":[{"examples":64,"kv_pairs":2,"sequence_length":16}],"vocab_size":64},"training":{"batch_size":32,"data":"fresh","decay":"exempt","epochs":2,"learning_rate":0.01,"order":"shuffled","precision":"fp32","schedule":"cosine-epoch","weight_decay":0.1}}', '81d40f0d7e187d90a3d92da7497d457468a6ccde40cc76afa484a98908ea8a9d', 123, '{"block":"transformer","d_model":16,"embed_dropout":0.1,"init":"paper","layers":[{"kernel_size":3,"mixer":"base-conv"},{"dropout":0,"heads":1,"mixer":"attention","rope":false}],"norm_epsilon":1e-05,"positions":"none","residual_dropout":0,"state_mixer":"none"}', 16, 2, 64, 0.01, 0, 'fp32', 2544, 2176, 2240, 'finished', 2, 26, 4.080373707413673, 3.959883840754628, 0.0390625, 3.9721203465014696, 0.0234375, 1.5, 20000.5, 'cpu: Example Processor, OpenBLAS 0.3.21 Haswell', '0.1.0', 'abc1234', '2025-01-01T00:00:00.000Z', '2025-01-01T00:00:01.000Z', '2025-01-01T00:00:03.000Z');
INSERT INTO runs (run_id, spec, task_hash, data_seed, config, d_model, layers, vocab_size, learning_rate, seed, precision, parameters, state_bytes, state_bytes_zoology, status, epochs, steps, train_loss, validation_loss, validation_accuracy, device, version, "commit", planned_at, started_at)
VALUES ('0fd0cda569a886fc', '{"model":{"block":"transformer","d_model":16,"embed_dropout":0.1,"init":"paper","layers":[{"kernel_size":3,"mixer":"base-conv"},{"feature_dim":4,"feature_map":"taylor-2","heads":1,"mixer":"linear-attention"}],"norm_epsilon":1e-05,"positions":"none","residual_dropout":0,"state_mixer":"none"},"seed":0,"task":{"data_seed":123,"fillers":"any","power_a":0.01,"random_non_queries":true,"test":[{"examples":64,"kv_pairs":2,"sequence_length":16}],"train":[{"examples":400,"kv_pairs":2,"sequence_length":16}],"validation":[{"examples":64,"kv_pairs":2,"sequence_length":16}],"vocab_size":64},"training":{"batch_size":32,"data":"fresh","decay":"exempt","epochs":2,"learning_rate":0.01,"order":"shuffled","precision":"fp32","schedule":"cosine-epoch","weight_decay":0.1}}', '81d40f0d7e187d90a3d92da7497d457468a6ccde40cc76afa484a98908ea8a9d', 123, '{"block":"transformer","d_model":16,"embed_dropout":0.1,"init":"paper","layers":[{"kernel_size":3,"mixer":"base-conv"},{"feature_dim":4,"feature_map":"taylor-2","heads":1,"mixer":"linear-attention"}],"norm_epsilon":1e-05,"positions":"none","residual_dropout":0,"state_mixer":"none"}', 16, 2, 64, 0.01, 0, 'fp32', 2096, 1148, 1212, 'interrupted', 1, 13, 4.161704620718956, 4.152008805423975, 0.015625, 'cpu: Example Processor, OpenBLAS 0.3.21 Haswell', '0.1.0', 'abc1234', '2025-01-01T00:00:00.000Z', '2025-01-01T00:00:01.000Z');
INSERT INTO suites (name, description, control_model, control_minimum, content_hash, planned_at)
VALUES ('tiny', 'Two models on next to nothing.', 'attention', 0.0, '9ff55b22d6c96aa2', '2025-01-01T00:00:00.000Z');
INSERT INTO suite_runs (suite, run_id, model, task, position)
VALUES ('tiny', '0fd0cda569a886fc', 'based', 'mqar', 1);
INSERT INTO suite_runs (suite, run_id, model, task, position)
VALUES ('tiny', '637cdb60be92a985', 'attention', 'mqar', 0);
INSERT INTO slices (run_id, split, segment, sequence_length, kv_pairs, examples, accuracy)
VALUES ('637cdb60be92a985', 'test', 0, 16, 2, 64, 0.0234375);
INSERT INTO slices (run_id, split, segment, sequence_length, kv_pairs, examples, accuracy)
VALUES ('637cdb60be92a985', 'validation', 0, 16, 2, 64, 0.0390625);
INSERT INTO history (run_id, epoch, step, learning_rate, train_loss, validation_loss, validation_accuracy, seconds)
VALUES ('0fd0cda569a886fc', 1, 13, 0.01, 4.161704620718956, 4.152008805423975, 0.015625, 0.75);
INSERT INTO history (run_id, epoch, step, learning_rate, train_loss, validation_loss, validation_accuracy, seconds)
VALUES ('637cdb60be92a985', 1, 13, 0.01, 4.159452814459801, 4.140413610264659, 0.015625, 0.75);
INSERT INTO history (run_id, epoch, step, learning_rate, train_loss, validation_loss, validation_accuracy, seconds)
VALUES ('637cdb60be92a985', 2, 26, 0.005, 4.080373707413673, 3.959883840754628, 0.0390625, 1.5);
INSERT INTO benchmarks (kind, name, device, precision, threads, shape, median_ms, min_ms, "commit", measured_at)
VALUES ('kernel', 'scan', 'cpu: Example Processor, OpenBLAS 0.3.21 Haswell', 'fp32', 1, '{"batch":8}', 2.5, 2.0, 'abc1234', '2025-01-01T00:00:00.000Z');
