import RecallKernels

/// What the operations of a step do, and where its time goes.
public final class StepProfile {
    /// One operation of a tape, in training with its backward.
    public struct Operation: Sendable {
        /// "linear layers.0.mixer.projection", or where it has no parameters "attention of layers.1.mixer".
        public let name: String
        /// What it cannot do without.
        public let work: KernelWork
        public internal(set) var forwardSeconds = 0.0
        /// With what adds its gradients to others.
        public internal(set) var backwardSeconds = 0.0
    }

    /// In the order of forward.
    public private(set) var operations: [Operation] = []

    public init() {}

    /// What the operations, forward and backward, cannot do without.
    public var work: Work {
        operations.reduce(into: Work()) { $0 += $1.work.forward + $1.work.backward }
    }

    /// Adds an operation that begins; where nothing is trained its backward is no work.
    func add(_ name: String, _ work: KernelWork, isTraining: Bool) {
        let done = isTraining ? work : KernelWork(forward: work.forward, backward: Work())
        operations.append(Operation(name: name, work: done))
    }

    func add(_ seconds: Double, to phase: WritableKeyPath<Operation, Double>, of index: Int) {
        operations[index][keyPath: phase] += seconds
    }

    /// Adds the optimiser's update of so many parameters, which no tape sees.
    public func addUpdate(seconds: Double, numbers: Int) {
        var update = Operation(
            name: "AdamW",
            work: KernelWork(forward: Work(), backward: AdamWStep.work(numbers: numbers))
        )
        update.backwardSeconds = seconds
        operations.append(update)
    }
}
