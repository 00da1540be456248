import Foundation

/// The process that holds a run.
final class Holder: @unchecked Sendable {
    var pid: Int32 = 0
}

/// True the first time.
final class Once: @unchecked Sendable {
    private let lock = NSLock()
    private var isOver = false

    func first() -> Bool {
        lock.withLock {
            defer { isOver = true }
            return !isOver
        }
    }
}

/// Counts from any thread.
final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var count = 0

    /// 1 the first time.
    func next() -> Int {
        lock.withLock {
            count += 1
            return count
        }
    }

    var value: Int { lock.withLock { count } }
}

/// A value that several threads may change.
final class Locked<Value>: @unchecked Sendable {
    private let lock = NSLock()
    private var stored: Value

    init(_ value: Value) { stored = value }

    var value: Value {
        get { lock.withLock { stored } }
        set { lock.withLock { stored = newValue } }
    }

    func change(_ body: (inout Value) -> Void) { lock.withLock { body(&stored) } }
}
