import COpenBLAS

/// C ← α op(A) op(B) + β C by OpenBLAS, row-major. op(A) is (m, k), op(B) (k, n), C (m, n); the strides are elements
/// from row to row as stored.
@inline(__always)
func matrixProduct(
    m: Int, n: Int, k: Int, alpha: Float = 1, _ a: UnsafePointer<Float>, stride aStride: Int,
    transposed aTransposed: Bool = false, _ b: UnsafePointer<Float>, stride bStride: Int,
    transposed bTransposed: Bool = false, beta: Float = 0, _ c: UnsafeMutablePointer<Float>, stride cStride: Int
) {
    cblas_sgemm(
        CblasRowMajor, aTransposed ? CblasTrans : CblasNoTrans, bTransposed ? CblasTrans : CblasNoTrans,
        blasint(m), blasint(n), blasint(k), alpha, a, blasint(aStride), b, blasint(bStride), beta, c,
        blasint(cStride))
}
