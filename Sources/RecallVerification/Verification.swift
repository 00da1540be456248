import RecallKernels

/// What became of a case.
public struct KernelVerdict: Sendable {
    public let kernelCase: KernelCase
    public let outputs: [OutputVerdict]
    /// What was changed that is no output; nil where nothing was.
    public let trespass: String?
    /// The first number that the same call on the same inputs gave different bits for; nil where all were the same.
    public let difference: String?
    /// Of the two calls, until the device had done each.
    public let seconds: [Double]

    /// Whether a second call on the same inputs gave the same bits.
    public var hasSameBits: Bool { difference == nil }
    public var hasPassed: Bool { problems.isEmpty }

    /// Everything that is wrong, a line each.
    public var problems: [String] {
        outputs.compactMap { output in output.problem.map { "\(output.name): \($0)" } }
            + [trespass, difference.map { "not the same bits in a second call: \($0)" }].compactMap { $0 }
    }

    /// The output that is furthest from its reference, measured by its bound.
    public var worst: OutputVerdict? {
        func part(_ output: OutputVerdict) -> Double {
            let error = max(output.error, output.largestError)
            return error == 0 ? 0 : error.isNaN ? .infinity : error / output.bound
        }
        return outputs.max { ($0.problem != nil ? 1 : 0, part($0)) < ($1.problem != nil ? 1 : 0, part($1)) }
    }
}

extension KernelCase {
    /// Calls the kernel twice on a device and holds what it wrote to the Float64 reference.
    ///
    /// All operands lie in one reserved block, on boundaries of 64 bytes, NaN before, between and behind them. Before each
    /// call all of it is written anew: outputs are NaN, and whatever is no output must hold the same bits afterwards.
    ///
    /// An output passes where every number was written and both measures of its error, the relative one of norms and
    /// the largest as a part of the largest, are at most its bound. In Float32 that is the case's own, several times what
    /// summing in another order makes of it.
    ///
    /// In a lower precision of unit roundoff u, for kernels whose matrix products may round their factors, it is the largest
    /// of three: the case's own; eight times the error of a naive kernel in that precision, taken to be the larger of the
    /// differences that rounding all of the factors, and cutting them off, make to the Float64 reference's output (tensor
    /// cores do either); and 4 u, which is what cutting bits off
    /// two factors, instead of rounding them, can make of one product. Where terms cancel in the reference, and rounding
    /// makes no difference to it, that last is 8 u of the terms' size. Other kernels keep their own.
    ///
    /// - Throws: `BackendError.outOfMemory`.
    public func verify(on backend: any Backend, arithmetic: Arithmetic = .fp32) throws -> KernelVerdict {
        let problem = problem
        let memory = MemoryImage(problem)
        let base = try backend.allocate(bytes: memory.bytes)
        defer { backend.release(base, bytes: memory.bytes) }
        let addresses = memory.addresses(base)
        var seconds: [Double] = []
        func run() -> [UInt32] {
            memory.write(to: base, backend)
            let start = ContinuousClock.now
            problem.call(backend, addresses)
            // A device that works behind the host's back is done when it can be read.
            backend.synchronise(reading: base)
            seconds.append((ContinuousClock.now - start) / .seconds(1))
            return memory.read(from: base, backend)
        }
        let (first, second) = (run(), run())
        let expectations = problem.expectations(.fp32)
        let naives =
            arithmetic == .fp32 || !problem.hasFactors
            ? [] : [false, true].map { problem.expectations(arithmetic, isTruncating: $0) }
        let outputs = expectations.map { operand, expectation in
            let view = problem.views[operand.index]
            var bound = view.bound ?? 0
            for naive in naives.compactMap({ $0[operand] }) {
                let error = ErrorMeasure(naive.values, expectation.values, floor: expectation.floor).worst
                let least: Double = expectation.floor > 0 ? 8 : 4
                bound = max(bound, 8 * error, least * arithmetic.unitRoundoff)
            }
            return (
                operand.index, view.verdict(memory.words(of: operand, in: first), expectation, bound: bound)
            )
        }
        return KernelVerdict(
            kernelCase: self,
            outputs: outputs.sorted { $0.0 < $1.0 }.map(\.1),
            trespass: memory.trespass(in: first),
            difference: memory.difference(first, second),
            seconds: seconds
        )
    }
}

extension Problem {
    var hasFactors: Bool { views.contains(where: \.isFactor) }

    /// What each output should hold, factors rounded to an arithmetic.
    ///
    /// - Parameter isTruncating: whether they are cut off instead.
    func expectations(_ arithmetic: Arithmetic, isTruncating: Bool = false) -> [Operand: Expectation] {
        let all = reference(Values(views: views, arithmetic: arithmetic, isTruncating: isTruncating))
        let outputs = views.indices.filter { views[$0].bound != nil }
        precondition(all.map(\.operand.index).sorted() == outputs, "outputs without a reference")
        for one in all { precondition(one.values.count == views[one.operand.index].rows.numbers) }
        return Dictionary(uniqueKeysWithValues: all.map { ($0.operand, $0) })
    }
}

extension Backend {
    /// Returns when all that was queued is done.
    fileprivate func synchronise(reading address: UnsafeMutableRawPointer) {
        var word: UInt32 = 0
        copyToHost(address, &word, bytes: 4)
    }
}
