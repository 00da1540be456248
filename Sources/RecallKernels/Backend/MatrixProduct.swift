/// C ← α op(A) op(B) + β C by OpenBLAS, row-major. op(A) is (m, k), op(B) (k, n), C (m, n); the strides are elements
/// from row to row as stored.
@inline(__always)
func matrixProduct(
    m: Int,
    n: Int,
    k: Int,
    alpha: Float = 1,
    _ a: UnsafePointer<Float>,
    stride aStride: Int,
    transposed aTransposed: Bool = false,
    _ b: UnsafePointer<Float>,
    stride bStride: Int,
    transposed bTransposed: Bool = false,
    beta: Float = 0,
    _ c: UnsafeMutablePointer<Float>,
    stride cStride: Int
) {
    // CblasRowMajor; CblasNoTrans is 111 and CblasTrans 112.
    OpenBLAS.product?(
        101,
        aTransposed ? 112 : 111,
        bTransposed ? 112 : 111,
        Int32(m),
        Int32(n),
        Int32(k),
        alpha,
        a,
        Int32(aStride),
        b,
        Int32(bStride),
        beta,
        c,
        Int32(cStride)
    )
}
