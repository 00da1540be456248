#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What the system lets this process have more of, found by trying: libraries end the process, or wait for ever, where
/// they are refused a thread or a file descriptor in the midst of their work.
public enum ProcessLimits {
    /// Whether so many files more can be open at once.
    public static func hasDescriptors(_ count: Int) -> Bool {
        var opened: [Int32] = []
        defer { for descriptor in opened { close(descriptor) } }
        for _ in 0..<count {
            let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return false }
            opened.append(descriptor)
        }
        return true
    }

    /// The most files that can be open at once, as `ulimit -n` has it.
    public static var mostDescriptors: Int {
        var limit = rlimit()
        #if canImport(Glibc)
            let result = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        #else
            let result = getrlimit(RLIMIT_NOFILE, &limit)
        #endif
        return result == 0 ? Int(clamping: limit.rlim_cur) : 1024
    }

    /// Whether so many threads more can run at once.
    public static func hasThreads(_ count: Int) -> Bool {
        #if canImport(Glibc)
            // Held by this thread until all are made, so that all are there at once.
            let gate = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
            pthread_mutex_init(gate, nil)
            pthread_mutex_lock(gate)
            var threads: [pthread_t] = []
            defer {
                pthread_mutex_unlock(gate)
                for thread in threads { pthread_join(thread, nil) }
                pthread_mutex_destroy(gate)
                gate.deallocate()
            }
            for _ in 0..<count {
                var thread = pthread_t()
                let result = pthread_create(
                    &thread,
                    nil,
                    { argument in
                        let gate = argument?.assumingMemoryBound(to: pthread_mutex_t.self)
                        pthread_mutex_lock(gate!)
                        pthread_mutex_unlock(gate!)
                        return nil
                    },
                    gate
                )
                guard result == 0 else { return false }
                threads.append(thread)
            }
        #endif
        return true
    }
}
