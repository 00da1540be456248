import RecallStore

/// Whether a suite's control allows to believe its numbers.
public enum ControlVerdict: Equatable, Sendable {
    /// The suite names no control.
    case uncontrolled
    case passes(model: String, accuracy: Double, minimum: Double)
    /// The accuracy is nil where every run of the control failed.
    case fails(model: String, accuracy: Double?, minimum: Double)
    /// The suite names a control, and no run of it is there.
    case absent(model: String)
    case unfinished(model: String, finished: Int, runs: Int)

    /// A verdict without its numbers: a word for programs.
    public enum Kind: String, CaseIterable, Sendable { case uncontrolled, passes, fails, absent, unfinished }

    public var kind: Kind {
        switch self {
        case .uncontrolled: .uncontrolled
        case .passes: .passes
        case .fails: .fails
        case .absent: .absent
        case .unfinished: .unfinished
        }
    }

    /// The sentence that heads every table of the suite; nil when the control passes.
    public var heading: String? { heading(of: "table") }

    /// The same above something else: a figure.
    public func heading(of what: String) -> String? {
        switch self {
        case .uncontrolled: "no control in this suite: nothing was controlled"
        case .passes: nil
        case .fails(let model, let accuracy?, let minimum):
            "INVALID CONTROL: \(model) reached \(Format.accuracy(accuracy, besides: minimum)), below "
                + "\(minimum): no number of this \(what) can be trusted."
        case .fails(let model, nil, _):
            "INVALID CONTROL: every run of \(model) failed: no number of this \(what) can be trusted."
        case .absent(let model): "no run of the control \(model) in this suite: nothing was controlled"
        case .unfinished(let model, let finished, let runs):
            "CONTROL NOT FINISHED: \(finished) of \(runs) runs of \(model) are done: "
                + "no number of this \(what) can be trusted yet."
        }
    }

    /// The control passes on a task when its best row reaches the minimum, fails when its runs have all ended without
    /// that; of several tasks the worst decides.
    init(
        suite: SuiteRecord,
        runs: [StoredRun],
        rows: [(task: String, row: TradeoffRow)],
        taskIdentity: (StoredRun) -> String
    ) {
        guard let model = suite.controlModel else {
            self = .uncontrolled
            return
        }
        let minimum = suite.controlMinimum ?? Tradeoff.defaultThreshold
        let tasks = Dictionary(grouping: runs, by: taskIdentity)
        let verdicts = tasks.map { task, runs -> ControlVerdict in
            let control = runs.filter { $0.model == model }
            guard !control.isEmpty else { return .absent(model: model) }
            let accuracy = rows.filter { $0.task == task && $0.row.model == model }.map(\.row.testAccuracy.mean)
                .max()
            if let accuracy, accuracy >= minimum {
                return .passes(model: model, accuracy: accuracy, minimum: minimum)
            }
            let ended = control.filter { $0.status == .finished || $0.status == .failed }.count
            guard ended == control.count else {
                return .unfinished(model: model, finished: ended, runs: control.count)
            }
            return .fails(model: model, accuracy: accuracy, minimum: minimum)
        }
        self = verdicts.max { $0.gravity < $1.gravity } ?? .absent(model: model)
    }

    /// Greater is worse; among equals, the lower accuracy and the less finished.
    private var gravity: (Int, Double) {
        switch self {
        case .passes(_, let accuracy, _): (0, -accuracy)
        case .uncontrolled: (1, 0)
        case .absent: (2, 0)
        case .unfinished(_, let finished, let runs): (3, -Double(finished) / Double(runs))
        case .fails(_, let accuracy, _): (4, -(accuracy ?? -1))
        }
    }
}

extension ControlVerdict.Kind {
    /// What a verdict says where its numbers are not at hand; nil when the control passes.
    func sentence(of what: String) -> String? {
        switch self {
        case .uncontrolled, .absent: "no control in this suite: nothing was controlled"
        case .passes: nil
        case .fails: "INVALID CONTROL: no number of this \(what) can be trusted."
        case .unfinished: "CONTROL NOT FINISHED: no number of this \(what) can be trusted yet."
        }
    }
}
