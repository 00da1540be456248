import Foundation

/// The end of the process.
enum ProcessEnd {
    /// Ends the process without what libraries do at an exit.
    ///
    /// A BLAS waits at an exit for its threads, and one that the system refuses memory asks for it again and again: such a
    /// process would say its line and stay. Everything of ours is on disk by then; what the C library still holds for
    /// standard output is written here.
    static func end(_ status: Int32) -> Never {
        fflush(nil)
        _exit(status)
    }
}
