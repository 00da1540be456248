import RecallKernels

/// cuBLAS, for whole matrix products. Its matrices are column-major: a row-major C = A·B is its Cᵀ = Bᵀ·Aᵀ.
struct MatrixLibrary: Sendable {
    typealias Handle = OpaquePointer
    typealias Out<Value> = UnsafeMutablePointer<Value>

    let create: @convention(c) (Out<Handle?>) -> Int32
    let destroy: @convention(c) (Handle?) -> Int32
    let setStream: @convention(c) (Handle?, DriverObject?) -> Int32
    let setWorkspace: @convention(c) (Handle?, DeviceAddress, Int) -> Int32
    /// The general product with types of its own for A, B, C and the arithmetic (cublasGemmEx).
    let product:
        @convention(c) (
            Handle?, Int32, Int32, Int32, Int32, Int32, UnsafeRawPointer, DeviceAddress, Int32, Int32,
            DeviceAddress, Int32, Int32, UnsafeRawPointer, DeviceAddress, Int32, Int32, Int32, Int32
        ) -> Int32
    /// Many products of one shape, each matrix a fixed distance from the one before (cublasGemmStridedBatchedEx).
    let batchedProduct:
        @convention(c) (
            Handle?, Int32, Int32, Int32, Int32, Int32, UnsafeRawPointer, DeviceAddress, Int32, Int32, Int64,
            DeviceAddress, Int32, Int32, Int64, UnsafeRawPointer, DeviceAddress, Int32, Int32, Int64, Int32,
            Int32, Int32
        ) -> Int32
    let version: Int32

    /// - Throws: `BackendError.unavailable` where there is no cuBLAS.
    init() throws {
        let library = try Self.library("libcublas")
        create = try library.function("cublasCreate_v2")
        destroy = try library.function("cublasDestroy_v2")
        setStream = try library.function("cublasSetStream_v2")
        setWorkspace = try library.function("cublasSetWorkspace_v2")
        product = try library.function("cublasGemmEx")
        batchedProduct = try library.function("cublasGemmStridedBatchedEx")
        let property: @convention(c) (Handle?, Out<Int32>) -> Int32 = try library.function(
            "cublasGetVersion_v2"
        )
        var number = Int32(0)
        _ = property(nil, &number)
        version = number
    }

    /// One of the libraries that cuBLAS consists of.
    static func library(_ name: String) throws -> DynamicLibrary {
        try DynamicLibrary(
            anyOf: DynamicLibrary.candidates(
                ["\(name).so.13", "\(name).so.12", "\(name).so"],
                folders: ["/usr/local/cuda/lib64"]
            ),
            purpose: "NVIDIA's matrix products; it comes with the CUDA toolkit and with the Python package"
                + " nvidia-cublas, whose folder RECALL_BENCH_CUDA_LIBRARIES may name"
        )
    }
}
