import GRDB
import RecallData
import RecallModels
import RecallSuite
import RecallTraining

/// A run's place in a suite.
private struct Place: Hashable {
    let runID: String
    let model: String
    var task: String
}

/// A run that a suite has or is to have.
private struct Member {
    var place: Place
    let spec: RunSpec
    let taskHash: String
    var isPending = true

    /// The same for runs that differ in their seeds alone, the data's among them.
    var point: Point {
        var spec = spec
        (spec.seed, spec.task.dataSeed) = (0, 0)
        return Point(model: place.model, task: place.task, spec: spec.canonicalJSON())
    }

    /// The same for runs that differ in their seeds and learning rate alone.
    var group: Point { Point(model: place.model, task: place.task, spec: spec.pointJSON()) }

    struct Point: Hashable {
        let model: String
        let task: String
        /// Canonical JSON, as run ids are made of.
        let spec: String
    }

    /// The data's and the other.
    var seeds: [UInt64] { [spec.task.dataSeed, spec.seed] }

    /// The same for runs whose accuracies compare, as far as their settings tell.
    var conditions: Conditions {
        var (task, training) = (spec.task, spec.training)
        (task.dataSeed, training.learningRate) = (0, 0)
        return Conditions(task: task, training: training)
    }

    struct Conditions: Hashable {
        let task: MQARTask
        let training: TrainingConfig
    }

    /// What a model's configurations share, however large: everything but layers and width.
    var recipe: Recipe {
        var config = spec.model
        (config.layers, config.dModel) = ([], 0)
        return Recipe(model: place.model, config: config)
    }

    struct Recipe: Hashable {
        let model: String
        let config: ModelConfig
    }

    /// Whether the run means what this program would take it to mean: another results version gives it another id.
    var isCurrent: Bool { spec.runID(taskHash: taskHash) == place.runID }
}

/// The ids that a suite gives its tasks now. They are labels: rows that were stored under others, or before there were
/// ids, are the same runs.
private struct TaskLabels {
    private var exact: [Settings: String] = [:]
    /// Whatever the data's seed, which a suite may have several of.
    private var labels: [Settings: [String]] = [:]

    private struct Settings: Hashable {
        var task: MQARTask
        /// Two tasks may differ in this alone.
        let batchSize: Int

        init(_ spec: RunSpec) { (task, batchSize) = (spec.task, spec.training.batchSize) }

        var ofAnySeed: Settings {
            var other = self
            other.task.dataSeed = 0
            return other
        }
    }

    init(_ planned: [Member]) {
        for member in planned {
            let (settings, label) = (Settings(member.spec), member.place.task)
            if exact.updateValue(label, forKey: settings) != label {
                labels[settings.ofAnySeed, default: []].append(label)
            }
        }
    }

    /// The member under the id that its task has now; as it is where the suite does not have its task.
    func relabelled(_ member: Member) -> Member {
        let settings = Settings(member.spec)
        let all = labels[settings.ofAnySeed] ?? []
        let kept = all.contains(member.place.task) ? member.place.task : all.first
        guard let label = exact[settings] ?? kept, label != member.place.task else { return member }
        var renamed = member
        renamed.place.task = label
        return renamed
    }
}

/// Tells whether runs were trained on the data that this program makes of their tasks: another version may give the same
/// settings other data.
private struct CurrentData {
    private var hashes: [MQARTask: String]

    init(_ planned: [Member]) {
        hashes = Dictionary(planned.map { ($0.spec.task, $0.taskHash) }, uniquingKeysWith: { $1 })
    }

    /// - Parameter member: one whose task is that of a planned run, but for the data's seed.
    mutating func isUnder(_ member: Member) -> Bool {
        let hash = hashes[member.spec.task] ?? member.spec.task.contentHash()
        hashes[member.spec.task] = hash
        return hash == member.taskHash
    }
}

extension Store {
    /// Makes `runs`, and what stays of those that were there, the runs of a suite.
    ///
    /// Under `complete` they stand in the order of the points planned, the seeds of the data and then the others of each
    /// ascending, whoever added which when; otherwise what was there keeps its order, and what is new comes after.
    ///
    /// - Parameter isChanged: whether the suite lists other runs than when it was last planned.
    func place(
        _ runs: [PlannedRun],
        in suite: String,
        membership: Membership,
        isChanged: Bool,
        isSearched: Bool,
        _ db: Database
    ) throws {
        let planned = runs.map {
            Member(
                place: Place(runID: $0.runID, model: $0.model, task: $0.task),
                spec: $0.spec,
                taskHash: $0.taskHash
            )
        }
        var data = CurrentData(planned)
        let places = Set(planned.map(\.place))
        let stored = try self.members(of: suite, db)
        let labels = TaskLabels(planned)
        let former = stored.map(labels.relabelled)
        let members: [Member]
        switch membership {
        case .complete where isSearched:
            // What a search has found so far may be less than what it found once: a run is being tried again, or another
            // process is further. Whatever has begun on a point stays with it, and so does what other seeds wait for.
            let (groups, seeds) = (Set(planned.map(\.group)), Set(planned.map(\.seeds)))
            let staying = former.filter { member in
                !places.contains(member.place) && member.isCurrent && groups.contains(member.group)
                    && !(member.isPending && (isChanged || seeds.contains(member.seeds)))
                    && data.isUnder(member)
            }
            members = Self.byPoint(planned + staying)
        case .complete:
            let order = Self.firstPlaces(planned.map(\.point))
            let staying = former.filter {
                !places.contains($0.place) && !(isChanged && $0.isPending) && $0.isCurrent
                    && order[$0.point] != nil && data.isUnder($0)
            }
            members = (planned + staying).map { (order[$0.point] ?? 0, $0) }.sorted { one, other in
                (one.0, one.1.spec.task.dataSeed, one.1.spec.seed)
                    < (other.0, other.1.spec.task.dataSeed, other.1.spec.seed)
            }.map(\.1)
        case .extending:
            let conditions = Set(planned.map(\.conditions))
            let (models, recipes) = (Set(planned.map(\.place.model)), Set(planned.map(\.recipe)))
            let staying = former.filter {
                conditions.contains($0.conditions) && $0.isCurrent
                    && (recipes.contains($0.recipe) || !models.contains($0.place.model)) && data.isUnder($0)
            }
            members = Self.byPoint(staying + planned)
        case .additional:
            guard former.map(\.place) != stored.map(\.place) else {
                return try Self.append(runs, to: suite, db)
            }
            members = former + planned
        }
        try db.execute(sql: "DELETE FROM suite_runs WHERE suite = ?", arguments: [suite])
        try Self.insert(members.map(\.place), of: suite, from: 0, db)
    }

    /// Makes runs members of a suite, after all that are there.
    static func append(_ runs: [PlannedRun], to suite: String, _ db: Database) throws {
        let position = try Int.fetchOne(
            db,
            sql: "SELECT MAX(position) + 1 FROM suite_runs WHERE suite = ?",
            arguments: [suite]
        )
        let places = runs.map { Place(runID: $0.runID, model: $0.model, task: $0.task) }
        try insert(places, of: suite, from: position ?? 0, db)
    }

    private static func insert(_ places: [Place], of suite: String, from first: Int, _ db: Database) throws {
        // A run that is there already keeps its first place.
        let statement = try db.makeStatement(
            sql: """
                INSERT INTO suite_runs (suite, run_id, model, task, position) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT DO NOTHING
                """
        )
        for (offset, place) in places.enumerated() {
            try statement.execute(arguments: [suite, place.runID, place.model, place.task, first + offset])
        }
    }

    /// Where each point stands first.
    private static func firstPlaces(_ points: [Member.Point]) -> [Member.Point: Int] {
        Dictionary(points.enumerated().map { ($1, $0) }, uniquingKeysWith: min)
    }

    /// The points in the order of their first members, the rates and seeds of each together, whichever came first.
    private static func byPoint(_ members: [Member]) -> [Member] {
        let groups = members.map(\.group)
        let order = firstPlaces(groups)
        return zip(groups, members).enumerated().sorted { one, other in
            func place(_ entry: (offset: Int, element: (Member.Point, Member))) -> (
                Int, Double, UInt64, UInt64, Int
            ) {
                let (group, member) = entry.element
                return (
                    order[group] ?? 0, member.spec.training.learningRate, member.spec.task.dataSeed,
                    member.spec.seed, entry.offset
                )
            }
            return place(one) < place(other)
        }.map(\.element.1)
    }

    /// The runs that a suite has, in its order.
    private func members(of suite: String, _ db: Database) throws -> [Member] {
        var members: [Member] = []
        try forEachRow(
            of: "runs",
            """
            SELECT s.suite, s.run_id, s.model, s.task, r.spec, r.task_hash, r.status
            FROM suite_runs s JOIN runs r USING (run_id)
            WHERE s.suite = ? ORDER BY s.position, s.run_id
            """,
            [suite],
            in: db
        ) { row in
            let place = row.joined("suite_runs")
            members.append(
                Member(
                    place: Place(
                        runID: try row.value("run_id"),
                        model: try place.value("model"),
                        task: try place.value("task")
                    ),
                    spec: try row.specification(),
                    taskHash: try row.value("task_hash"),
                    isPending: try row.value("status") == RunStatus.pending.rawValue
                )
            )
        }
        return members
    }
}
