import RecallKernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A shared library that is looked for when it is needed, so that the program needs none of them to be built or to start.
struct DynamicLibrary: @unchecked Sendable {
    let path: String
    private let handle: UnsafeMutableRawPointer

    /// The first of some names that the dynamic linker finds.
    ///
    /// - Parameter purpose: what the library is for and where it comes from, for the error.
    /// - Throws: `BackendError.unavailable`.
    init(anyOf names: [String], purpose: String) throws {
        for name in names {
            if let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) {
                (path, self.handle) = (name, handle)
                return
            }
        }
        throw BackendError.unavailable("there is no \(names.first ?? "") (\(purpose))")
    }

    /// A function of the library.
    ///
    /// - Throws: `BackendError.unavailable` where the library has none of that name.
    func function<Function>(_ name: String, as type: Function.Type = Function.self) throws -> Function {
        guard let symbol = dlsym(handle, name) else {
            throw BackendError.unavailable("\(path) has no \(name): it is too old")
        }
        return unsafeBitCast(symbol, to: type)
    }

    /// Folders in which CUDA's libraries lie where the dynamic linker does not look by itself: CUDA's own and those of
    /// Python packages that an environment variable names.
    static func candidates(_ names: [String], folders: [String]) -> [String] {
        let environment = ProcessEnvironment.value("RECALL_BENCH_CUDA_LIBRARIES")
        let listed = environment?.split(separator: ":").map(String.init) ?? []
        return listed.flatMap { folder in names.map { "\(folder)/\($0)" } } + names
            + folders.flatMap { folder in names.map { "\(folder)/\($0)" } }
    }
}

enum ProcessEnvironment {
    static func value(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}
