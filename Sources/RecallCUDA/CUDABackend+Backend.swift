import RecallKernels

// The families are in Families/, a file each.
extension CUDABackend: Backend {}
