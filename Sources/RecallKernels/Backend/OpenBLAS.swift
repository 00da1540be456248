import Foundation

/// OpenBLAS, loaded at the first matrix product.
///
/// It starts a thread for each core when it is loaded, and ends the process with SIGINT where the system refuses one. So it
/// is not linked: commands that multiply nothing never load it, and the others load it with one thread, which is all that
/// our kernels use.
struct OpenBLAS: Sendable {
    /// cblas_sgemm: C ← α op(A) op(B) + β C.
    let product: Product
    /// What the library calls itself: "OpenBLAS 0.3.21 …".
    let configuration: String
    /// The processor family whose kernels it uses.
    let kernel: String
    /// nil for a library that takes its memory otherwise.
    let memory: BLASMemory?

    typealias Product =
        @convention(c) (
            Int32, Int32, Int32, Int32, Int32, Int32, Float, UnsafePointer<Float>?, Int32,
            UnsafePointer<Float>?,
            Int32, Float, UnsafeMutablePointer<Float>?, Int32
        ) -> Void

    /// The library or why it cannot be used, the same for the whole process.
    static let shared = Result { try OpenBLAS() }.mapError { $0 as? BackendError ?? .unavailable("\($0)") }

    /// The library's product; nil where it cannot be loaded, which `CPUBackend.failure` tells.
    static let product: Product? = try? shared.get().product

    private static let names = ["libopenblas.so.0", "libopenblas.so"]
    private static let kernelVariable = "OPENBLAS_CORETYPE"

    private init() throws {
        // Whatever the environment says: each of its threads takes memory when it begins, and waits for it without end
        // where the system refuses it. `--threads` shares out products.
        setenv("OPENBLAS_NUM_THREADS", "1", 1)
        var handle = try Self.load()
        var kernel = try Self.kernel(handle)
        // A release older than the processor falls back to kernels that are several times slower.
        if getenv(Self.kernelVariable) == nil, let better = CPUInformation.betterBLASKernel(than: kernel) {
            setenv(Self.kernelVariable, better, 1)
            dlclose(handle)
            handle = try Self.load()
            kernel = try Self.kernel(handle)
        }
        self.kernel = kernel
        // Wherever it is: what is put before the library's own (LD_PRELOAD) counts. Such a look keeps the library loaded.
        product = try Self.function("cblas_sgemm", in: nil)
        let configuration: Text = try Self.function("openblas_get_config", in: handle)
        self.configuration = String(cString: configuration())
        let take: BLASMemory.Take? = try? Self.function("blas_memory_alloc", in: handle)
        let giveBack: BLASMemory.GiveBack? = try? Self.function("blas_memory_free", in: handle)
        memory = take.flatMap { take in giveBack.map { BLASMemory(take: take, giveBack: $0) } }
        // For a product that is called without a backend.
        try memory?.reserve(1)
    }

    private static func load() throws -> UnsafeMutableRawPointer {
        var reason = ""
        for name in names {
            // Global, so that a function put before the library's own (LD_PRELOAD) finds the one behind it.
            if let handle = dlopen(name, RTLD_NOW | RTLD_GLOBAL) { return handle }
            if reason.isEmpty { reason = dlerror().map { String(cString: $0) } ?? "" }
        }
        throw BackendError.unavailable(
            "OpenBLAS, which multiplies matrices on a CPU, cannot be loaded (\(reason)); install libopenblas0"
        )
    }

    private typealias Text = @convention(c) () -> UnsafePointer<CChar>

    private static func kernel(_ library: UnsafeMutableRawPointer) throws -> String {
        let name: Text = try function("openblas_get_corename", in: library)
        return String(cString: name())
    }

    /// - Parameter library: nil for all that the process has loaded.
    private static func function<Function>(
        _ name: String,
        in library: UnsafeMutableRawPointer?
    ) throws -> Function {
        guard let symbol = dlsym(library, name) else {
            throw BackendError.unavailable(
                "OpenBLAS, which multiplies matrices on a CPU, has no \(name); install libopenblas0"
            )
        }
        return unsafeBitCast(symbol, to: Function.self)
    }
}
