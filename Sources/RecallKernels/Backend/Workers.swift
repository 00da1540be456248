import Dispatch

/// Runs the blocks of a kernel on a run's threads, and keeps each thread's workspace from step to step.
///
/// A block's work may depend on its index, never on which worker does it: that is what makes results independent
/// of the number of threads. Subnormal numbers are zero in a block.
final class Workers {
    let threads: Int
    private var workspaces: [UnsafeMutableRawPointer?]
    private var capacities: [Int]
    /// How often a workspace was made or made larger.
    private(set) var growths = 0
    /// The first workspace that the system had no memory for; from then on no block is run.
    private(set) var failure: BackendError?
    /// Asked before every block; once it says yes, the blocks that are left are not run.
    var cancellation: (@Sendable () -> Bool)?

    init(threads: Int) {
        precondition(threads >= 1)
        self.threads = threads
        // One for each worker, and the last for what all share.
        workspaces = Array(repeating: nil, count: threads + 1)
        capacities = Array(repeating: 0, count: threads + 1)
    }

    deinit {
        for slot in workspaces.indices { release(slot) }
    }

    /// Bytes of all workspaces.
    var bytes: Int { capacities.reduce(0, +) * MemoryLayout<Float>.stride }

    /// Whether what is left of a kernel is not wanted any more. Blocks of long work ask in their midst too.
    var isCancelled: Bool { failure != nil || cancellation?() ?? false }

    /// Calls `body(block, worker)` once for each block, or for some only where the kernel is cancelled; blocks of
    /// different workers run at the same time.
    ///
    /// - Parameter floats: how many Float32 of its own workspace each worker needs (`workspace(_:)` hands it out).
    func forEachBlock(_ blocks: Int, floats: Int = 0, _ body: (_ block: Int, _ worker: Int) -> Void) {
        let used = min(threads, blocks)
        for worker in 0..<max(used, 1) { reserve(worker, floats: floats) }
        guard failure == nil else { return }
        guard used > 1 else {
            SubnormalNumbers.asZero {
                for block in 0..<blocks where !isCancelled { body(block, 0) }
            }
            return
        }
        withoutActuallyEscaping(body) { body in
            let box = UncheckedBody(call: body)
            let cancellation = cancellation
            DispatchQueue.concurrentPerform(iterations: used) { worker in
                SubnormalNumbers.asZero {
                    for block in stride(from: worker, to: blocks, by: used) where !(cancellation?() ?? false) {
                        box.call(block, worker)
                    }
                }
            }
        }
    }

    /// A worker's own workspace, of the size given to `forEachBlock`, 64-byte aligned. Holds anything.
    func workspace(_ worker: Int) -> UnsafeMutablePointer<Float> {
        workspaces[worker].unsafelyUnwrapped.assumingMemoryBound(to: Float.self)
    }

    /// The workspace that all workers share: partial sums of blocks, say. Valid until the next call. Holds anything.
    ///
    /// - Returns: nil where the system has no memory for it, which `failure` then tells.
    func sharedWorkspace(floats: Int) -> UnsafeMutablePointer<Float>? {
        reserve(threads, floats: floats)
        return failure == nil ? workspaces[threads]?.assumingMemoryBound(to: Float.self) : nil
    }

    private func reserve(_ slot: Int, floats: Int) {
        guard failure == nil, floats > capacities[slot] || workspaces[slot] == nil else { return }
        release(slot)
        let floats = max(floats, 1024)
        let (bytes, overflows) = floats.multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
        guard !overflows, let workspace = Pages.map(bytes: bytes) else {
            failure = .outOfMemory(bytes: overflows ? .max : bytes)
            return
        }
        workspace.bindMemory(to: Float.self, capacity: floats)
        workspaces[slot] = workspace
        capacities[slot] = floats
        growths += 1
    }

    private func release(_ slot: Int) {
        guard let workspace = workspaces[slot] else { return }
        Pages.unmap(workspace, bytes: capacities[slot] * MemoryLayout<Float>.stride)
        (workspaces[slot], capacities[slot]) = (nil, 0)
    }

    private struct UncheckedBody: @unchecked Sendable {
        let call: (Int, Int) -> Void
    }
}
