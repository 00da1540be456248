extension KernelCase {
    /// Every kernel of every family.
    public static let all: [KernelCase] =
        LinearAlgebraCases.all + NormalisationCases.all + EmbeddingCases.all + HeadLossCases.all
        + ElementwiseCases.all + OptimiserCases.all + ExampleCases.all + SoftmaxAttentionCases.all
        + LinearAttentionCases.all
        + ScanCases.all + ShortConvolutionCases.all + LongConvolutionCases.all
}
