import RecallKernels

/// cuBLASLt, the part of cuBLAS whose products are planned beforehand and may add a bias on their way out. It takes
/// cuBLAS's handles for its own.
struct PlannedProductLibrary: Sendable {
    typealias Handle = MatrixLibrary.Handle
    /// A descriptor: of a product, of a matrix's layout, of what a plan may take.
    typealias Descriptor = OpaquePointer
    typealias Out<Value> = UnsafeMutablePointer<Value>

    let createProduct: @convention(c) (Out<Descriptor?>, Int32, Int32) -> Int32
    let setProduct: @convention(c) (Descriptor?, Int32, UnsafeRawPointer, Int) -> Int32
    let destroyProduct: @convention(c) (Descriptor?) -> Int32
    /// A matrix's type, rows, columns, and numbers from one column to the next.
    let createLayout: @convention(c) (Out<Descriptor?>, Int32, UInt64, UInt64, Int64) -> Int32
    let destroyLayout: @convention(c) (Descriptor?) -> Int32
    let createPreference: @convention(c) (Out<Descriptor?>) -> Int32
    let setPreference: @convention(c) (Descriptor?, Int32, UnsafeRawPointer, Int) -> Int32
    let destroyPreference: @convention(c) (Descriptor?) -> Int32
    /// The algorithms for a product, the best first as the library guesses; it measures nothing.
    let choose:
        @convention(c) (
            Handle?, Descriptor?, Descriptor?, Descriptor?, Descriptor?, Descriptor?, Descriptor?, Int32,
            UnsafeMutableRawPointer, Out<Int32>
        ) -> Int32
    /// D ← α A·B + β C, with an algorithm and a workspace.
    let product:
        @convention(c) (
            Handle?, Descriptor?, UnsafeRawPointer, DeviceAddress, Descriptor?, DeviceAddress, Descriptor?,
            UnsafeRawPointer, DeviceAddress, Descriptor?, DeviceAddress, Descriptor?, UnsafeRawPointer,
            DeviceAddress, Int, DriverObject?
        ) -> Int32

    /// - Throws: `BackendError.unavailable` where there is no cuBLAS.
    init() throws {
        let library = try MatrixLibrary.library("libcublasLt")
        createProduct = try library.function("cublasLtMatmulDescCreate")
        setProduct = try library.function("cublasLtMatmulDescSetAttribute")
        destroyProduct = try library.function("cublasLtMatmulDescDestroy")
        createLayout = try library.function("cublasLtMatrixLayoutCreate")
        destroyLayout = try library.function("cublasLtMatrixLayoutDestroy")
        createPreference = try library.function("cublasLtMatmulPreferenceCreate")
        setPreference = try library.function("cublasLtMatmulPreferenceSetAttribute")
        destroyPreference = try library.function("cublasLtMatmulPreferenceDestroy")
        choose = try library.function("cublasLtMatmulAlgoGetHeuristic")
        product = try library.function("cublasLtMatmul")
    }
}

/// What is said of a product (cublasLtMatmulDescAttributes_t).
enum ProductAttribute: Int32 {
    case transposeA = 3
    case transposeB = 4
    case epilogue = 7
    case biasAddress = 8
}

/// What a plan may take (cublasLtMatmulPreferenceAttributes_t).
enum PlanAttribute: Int32 {
    case workspaceBytes = 1
    case reductionSchemes = 3
    case alignmentA = 5
    case alignmentB = 6
    case alignmentC = 7
    case alignmentD = 8
}
