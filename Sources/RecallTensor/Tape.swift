import RecallInput
import RecallKernels
import RecallRandom
import Synchronization

/// A request to stop, raised from a signal handler or another thread and polled between the entries of a tape, between
/// the blocks of their kernels, and while data are made.
public final class StopRequest: Sendable {
    private let raised = Atomic<Bool>(false)
    private let isDue: (@Sendable () -> Bool)?

    public init() { isDue = nil }

    /// One that raises itself at the first look at which `isDue` says yes. For tests, to stop at any point of the work.
    package init(when isDue: @escaping @Sendable () -> Bool) { self.isDue = isDue }

    public func raise() { raised.store(true, ordering: .relaxed) }

    public var isRaised: Bool {
        if let isDue, isDue() { raise() }
        return raised.load(ordering: .relaxed)
    }
}

/// Why a tape did not go on.
public enum TapeError: Error, Equatable, Sendable {
    /// A `StopRequest` was raised.
    case stopped
    /// The arena had no room for a tensor of this many bytes.
    case outOfMemory(bytes: Int)
    /// A tensor held NaN or infinity; found only while diagnosing.
    case notFinite(tensor: String)
    /// The device failed (`Backend.failure`).
    case device(BackendError)
}

extension TapeError {
    init(_ error: BackendError) {
        if case .outOfMemory(let bytes) = error {
            self = .outOfMemory(bytes: bytes)
        } else {
            self = .device(error)
        }
    }
}

/// Reverse-mode autodiff at kernel granularity: an operation runs its kernel at once and, in training, records how to
/// run its backward kernel. One tape serves one forward and backward pass.
///
/// When a tape fails (a stop, no memory), its remaining kernels do nothing and `check()` throws the reason: so models
/// read without a `try` a line.
public final class Tape {
    struct Entry {
        let name: String
        /// Where `profile` has it.
        let index: Int
        let backward: () -> Void
    }

    public let backend: any Backend
    let arena: Arena
    /// Whether entries are recorded, and dropout is on.
    public let isTraining: Bool
    /// Whether every output is checked for NaN and infinity, to name the first; slow.
    let isDiagnosing: Bool
    private let profile: StepProfile?
    /// Whether tensors are placed and nothing else is done: no kernel runs.
    let isPlanning: Bool
    private let stop: StopRequest?
    private let dropoutSeed: UInt64
    private let step: UInt32
    private var entries: [Entry] = []
    /// The path of the layer whose parameters were used last; empty outside of any.
    private var layer = ""
    private(set) var failure: TapeError?

    /// - Parameters:
    ///   - seed, step: key the dropout masks.
    ///   - stop: polled before every kernel and between its blocks.
    ///   - profile: is told of every operation, and in training how long it took.
    ///   - isPlanning: whether tensors are placed but no kernel runs: to learn what memory a shape needs. No tensor may be
    ///     read then.
    public init(
        arena: Arena,
        isTraining: Bool,
        seed: UInt64 = 0,
        step: Int = 0,
        stop: StopRequest? = nil,
        isDiagnosing: Bool = false,
        profile: StepProfile? = nil,
        isPlanning: Bool = false
    ) {
        backend = arena.backend
        self.arena = arena
        self.isTraining = isTraining
        self.isDiagnosing = isDiagnosing
        self.profile = profile
        self.isPlanning = isPlanning
        self.stop = stop
        dropoutSeed = seed
        self.step = UInt32(truncatingIfNeeded: step)
    }

    /// - Throws: why the tape failed, if it did.
    public func check() throws(TapeError) {
        if let failure { throw failure }
    }

    /// The mask of one of the model's dropouts at this step; nil when there is nothing to drop.
    func dropout(probability: Double, site: Int) -> Dropout? {
        guard isTraining, probability > 0 else { return nil }
        return Dropout(probability: probability, seed: dropoutSeed, step: step, site: UInt32(site))
    }

    /// A new tensor, its numbers undefined.
    public func tensor(_ shape: [Int]) -> Tensor {
        let bytes = (shape + [MemoryLayout<Float>.stride]).saturatingProduct()
        guard let address = arena.allocate(bytes: bytes) else {
            failure = failure ?? .outOfMemory(bytes: bytes)
            // Never touched: no kernel runs after a failure.
            return Tensor(shape: shape, storage: .none)
        }
        return Tensor(shape: shape, storage: Storage(arena: arena, address: address, bytes: bytes))
    }

    /// A tensor with numbers from the host.
    public func tensor(_ shape: [Int], _ numbers: [Float]) -> Tensor {
        let result = tensor(shape)
        precondition(result.count == numbers.count)
        launch {
            numbers.withUnsafeBytes { bytes in
                guard let address = bytes.baseAddress else { return }
                backend.copyFromHost(address, result.pointer, bytes: bytes.count)
            }
        }
        return result
    }

    /// A parameter's value as a tensor without a gradient of its own: for reading.
    func borrow(_ address: MutableFloats, shape: [Int]) -> Tensor {
        Tensor(shape: shape, storage: Storage(borrowing: address))
    }

    /// A tensor's numbers on the host.
    ///
    /// - Throws: why the tape failed, if it did: the numbers would mean nothing.
    public func read(_ tensor: Tensor) throws(TapeError) -> [Float] {
        try check()
        precondition(tensor.isContiguous && !isPlanning)
        let numbers = [Float](unsafeUninitializedCapacity: tensor.count) { buffer, initialised in
            if let address = buffer.baseAddress {
                backend.copyToHost(tensor.pointer, address, bytes: tensor.count * MemoryLayout<Float>.stride)
            }
            initialised = tensor.count
        }
        // Only now has the device done what was queued.
        poll()
        try check()
        return numbers
    }

    /// ∂loss/∂tensor after `backward`, if it reached the tensor. For tests.
    package func readGradient(_ tensor: Tensor) throws(TapeError) -> [Float]? {
        guard let gradient = tensor.gradient else { return nil }
        return try read(gradient)
    }

    /// Gives a tensor ∂loss/∂tensor to start `backward` from, where no loss is computed. For tests.
    package func setGradient(of tensor: Tensor, _ numbers: [Float]) {
        tensor.gradient = self.tensor(tensor.shape, numbers)
    }

    // MARK: - Entries

    /// Whether anything is to be remembered of an operation: its backward, its name or its time.
    var isRecording: Bool { isTraining || isDiagnosing || profile != nil }

    /// Runs a kernel unless the tape only plans, has failed or should stop. Every kernel goes through here.
    func launch(_ kernel: () -> Void) {
        poll()
        guard failure == nil, !isPlanning else { return }
        if let stop { backend.cancellable(by: { stop.isRaised }, kernel) } else { kernel() }
        // A kernel that was given up, or that the device could not do, has written nothing that means anything.
        poll()
    }

    private func poll() {
        guard failure == nil else { return }
        if let stop, stop.isRaised { failure = .stopped }
        if failure == nil, let reason = backend.failure { failure = TapeError(reason) }
    }

    /// Runs an operation's forward kernel and, in training, records its backward, which must not own the tape: a tape
    /// that never runs backwards (a stop, NaN) would keep itself and its tensors for ever.
    ///
    /// - Parameters:
    ///   - operation: what it does. With the layer whose parameters were used last, "attention of layers.1.mixer", it names
    ///     an operation without parameters of its own.
    ///   - path: where its own parameters are in the model, which is then its name: "layers.1.mixer.qkv".
    ///   - backward: keeps what it refers to in memory until it has run: it should refer to `gradientOnly` of a tensor
    ///     whose numbers it does not need.
    func record(
        _ operation: String,
        path: @autoclosure () -> String? = nil,
        output: Tensor,
        work: @autoclosure () -> KernelWork,
        forward: () -> Void,
        backward: @escaping () -> Void
    ) {
        record(
            operation,
            path: path(),
            outputs: [output],
            work: work(),
            forward: forward,
            backward: backward
        )
    }

    /// The same for an operation with several outputs.
    ///
    /// - Parameter names: of the outputs, where they have their own.
    func record(
        _ operation: String,
        path: @autoclosure () -> String? = nil,
        outputs: [Tensor],
        names: @autoclosure () -> [String]? = nil,
        work: @autoclosure () -> KernelWork,
        forward: () -> Void,
        backward: @escaping () -> Void
    ) {
        // Names are for errors in training and while diagnosing; making them would take a good part of a step of decoding.
        guard isRecording else { return launch(forward) }
        let path = path()
        if let path { layer = path.split(separator: ".").dropLast().joined(separator: ".") }
        let name = path ?? (layer.isEmpty ? operation : "\(operation) of \(layer)")
        let index = profile?.operations.count ?? 0
        profile?.add(name, work(), isTraining: isTraining)
        timed(index, \.forwardSeconds) { launch(forward) }
        for (index, output) in outputs.enumerated() where isDiagnosing {
            inspect(output, names()?[index] ?? name)
        }
        if isTraining { entries.append(Entry(name: name, index: index, backward: backward)) }
    }

    /// Runs the entries backwards. Gradients of parameters are in the parameters afterwards.
    ///
    /// - Throws: why the tape failed, if it did.
    public func backward() throws(TapeError) {
        precondition(isTraining)
        while let entry = entries.popLast() {
            // The entry dies at the end of the turn, and with it whatever only it still needed.
            currentEntry = entry.name
            timed(entry.index, \.backwardSeconds, entry.backward)
            if failure != nil { break }
        }
        entries.removeAll()
        try check()
    }

    private var currentEntry = ""

    /// Runs a part of an operation, and where there is a profile adds how long that took.
    private func timed(
        _ index: Int,
        _ phase: WritableKeyPath<StepProfile.Operation, Double>,
        _ body: () -> Void
    ) {
        guard let profile else { return body() }
        let seconds = ContinuousClock().measure(body) / .seconds(1)
        profile.add(seconds, to: phase, of: index)
    }

    /// Where a gradient is to be written: a fresh buffer, which becomes or is added to the tensor's gradient.
    struct GradientTarget {
        let pointer: MutableFloats
        /// Whether there is a gradient already, to be added to.
        var isAddedTo = false
        fileprivate let fresh: Tensor?
    }

    /// A place for an entry to write ∂loss/∂tensor; `commit` must follow the kernel.
    func gradientTarget(_ tensor: Tensor) -> GradientTarget {
        let owner = tensor.gradientOwner
        if owner !== tensor {
            // Columns of a tensor: all its parts write into one buffer, each its own columns.
            let whole = owner.gradient ?? self.tensor(owner.shape)
            owner.gradient = whole
            return GradientTarget(pointer: whole.pointer + tensor.columnOffset, fresh: nil)
        }
        let fresh = self.tensor(tensor.shape)
        return GradientTarget(pointer: fresh.pointer, fresh: fresh)
    }

    /// The same for an entry that can add to the gradient that is there, if nobody else refers to that.
    func addingTarget(_ tensor: Tensor) -> GradientTarget {
        guard tensor.gradientOwner === tensor, tensor.hasGradientOfItsOwn, let gradient = tensor.gradient else {
            return gradientTarget(tensor)
        }
        return GradientTarget(pointer: gradient.pointer, isAddedTo: true, fresh: gradient)
    }

    /// The same in the gradient that the entry reads, if the kernel may write over it and nobody else refers to it.
    func gradientTarget(_ tensor: Tensor, over gradient: inout Tensor) -> GradientTarget {
        guard tensor.gradientOwner === tensor, isKnownUniquelyReferenced(&gradient) else {
            return gradientTarget(tensor)
        }
        return GradientTarget(pointer: gradient.pointer, fresh: gradient)
    }

    /// The same in the tensor's own memory, whose numbers nobody may read after the entry's kernel.
    func replacingTarget(_ tensor: Tensor) -> GradientTarget {
        precondition(tensor.gradientOwner === tensor)
        return GradientTarget(
            pointer: tensor.pointer,
            fresh: Tensor(shape: tensor.shape, storage: tensor.storage)
        )
    }

    func commit(_ target: GradientTarget, to tensor: Tensor) {
        guard let fresh = target.fresh else { return }
        inspect(fresh, "gradient at \(currentEntry)")
        if !target.isAddedTo, let present = tensor.gradient {
            // Nobody else refers to the fresh one yet.
            launch { backend.add(fresh.count, a: present.values, b: fresh.values, y: fresh.pointer) }
        }
        tensor.gradient = fresh
    }

    /// Adds a finished gradient to a tensor's. The same buffer may become the gradient of several tensors, so none is
    /// ever changed in place.
    func accumulate(_ gradient: Tensor, into tensor: Tensor) {
        precondition(tensor.gradientOwner === tensor)
        guard let present = tensor.gradient else {
            tensor.gradient = gradient
            return
        }
        let sum = self.tensor(tensor.shape)
        launch { backend.add(tensor.count, a: present.values, b: gradient.values, y: sum.pointer) }
        tensor.gradient = sum
    }

    /// Calls `write` with where a parameter's gradient goes: directly for a step's first, else through a buffer that
    /// is then added.
    func parameterGradient(_ parameter: Parameter, _ write: (MutableFloats) -> Void) {
        if parameter.hasGradient {
            let extra = tensor(parameter.shape)
            write(extra.pointer)
            launch {
                backend.add(parameter.count, a: parameter.gradient, b: extra.values, y: parameter.gradient)
            }
        } else {
            write(parameter.gradient)
            parameter.hasGradient = true
        }
        // Within a launch: the kernel may just have been given up.
        if isDiagnosing { poll() }
        guard isDiagnosing, failure == nil else { return }
        let isFinite = backend.allFinite(parameter.count, x: parameter.gradient)
        // The look itself may have been given up.
        poll()
        if failure == nil, !isFinite { failure = .notFinite(tensor: "gradient of \(parameter.name)") }
    }

    /// The same for a parameter that there may not be.
    func parameterGradient(ifAny parameter: Parameter?, _ write: (MutableFloats?) -> Void) {
        guard let parameter else { return write(nil) }
        parameterGradient(parameter) { write($0) }
    }

    private func inspect(_ tensor: Tensor, _ name: String) {
        guard isDiagnosing, failure == nil, tensor.isContiguous else { return }
        if !backend.allFinite(tensor.count, x: tensor.values) { failure = .notFinite(tensor: name) }
    }
}
