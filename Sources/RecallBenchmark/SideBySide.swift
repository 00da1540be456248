import Foundation
import Synchronization

/// Runs side by side, each on a thread of its own.
public enum SideBySide {
    /// Prepares runs and, when the last is prepared, starts them together.
    ///
    /// - Parameters:
    ///   - count: of runs. At least 1.
    ///   - atRest: called once between the two, when no run is doing anything.
    /// - Returns: what they came to, in the order of their ends.
    /// - Throws: what the first of them to fail threw, when all have ended.
    public static func run<Prepared, Outcome: Sendable>(
        _ count: Int,
        prepare: @escaping @Sendable () throws -> Prepared,
        atRest: () -> Void = {},
        start body: @escaping @Sendable (Prepared) throws -> Outcome
    ) throws -> [Outcome] {
        precondition(count >= 1)
        let outcomes = Mutex<[Result<Outcome, any Error>]>([])
        let (ready, done) = (DispatchGroup(), DispatchGroup())
        let start = DispatchSemaphore(value: 0)
        for _ in 0..<count {
            ready.enter()
            done.enter()
            let thread = Thread {
                let prepared = Result { try prepare() }
                ready.leave()
                start.wait()
                let outcome = prepared.flatMap { prepared in Result { try body(prepared) } }
                outcomes.withLock { $0.append(outcome) }
                done.leave()
            }
            thread.stackSize = 16 << 20
            thread.start()
        }
        ready.wait()
        atRest()
        for _ in 0..<count { start.signal() }
        done.wait()
        return try outcomes.withLock { try $0.map { try $0.get() } }
    }
}
