import Crypto
import Foundation
import RecallKernels

/// The sources of the kernels, which lie in the binary as text.
public enum KernelSources {
    /// Files that are compiled, one module each, by name without ".cu".
    public static let modules: [String: [UInt8]] = [
        "attention_hopper": PackageResources.attention_hopper_cu,
        "batch": PackageResources.batch_cu,
        "elementwise": PackageResources.elementwise_cu,
        "embedding_gradient": PackageResources.embedding_gradient_cu,
        "embedding_loss": PackageResources.embedding_loss_cu,
        "examples": PackageResources.examples_cu,
        "head_hopper": PackageResources.head_hopper_cu,
        "head_loss": PackageResources.head_loss_cu,
        "linear": PackageResources.linear_cu,
        "normalisation": PackageResources.normalisation_cu,
        "optimiser": PackageResources.optimiser_cu,
        "linear_attention": PackageResources.linear_attention_cu,
        "softmax_attention": PackageResources.softmax_attention_cu,
        "long_backward": PackageResources.long_backward_cu,
        "long_convolution": PackageResources.long_convolution_cu,
        "partial_sums": PackageResources.partial_sums_cu,
        "scan_backward": PackageResources.scan_backward_cu,
        "scan_forward": PackageResources.scan_forward_cu,
        "short_convolution": PackageResources.short_convolution_cu,
        "taylor_attention": PackageResources.taylor_attention_cu,
        "thin_linear": PackageResources.thin_linear_cu,
        "weight_gradient": PackageResources.weight_gradient_cu,
    ]
    /// Modules of instructions that one capability alone has, with it.
    private static let capabilities = ["attention_hopper": 90, "head_hopper": 90]

    /// Modules that there are for a capability, sorted.
    static func names(for capability: Int) -> [String] {
        modules.keys.filter { capabilities[$0, default: capability] == capability }.sorted()
    }

    /// What they include.
    static let headers: [(name: String, text: String)] = [
        ("common.cuh", text(PackageResources.common_cuh)),
        ("attention_tiles.cuh", text(PackageResources.attention_tiles_cuh)),
        ("attention_passes.cuh", text(PackageResources.attention_passes_cuh)),
        ("attention_backward.cuh", text(PackageResources.attention_backward_cuh)),
        ("attention_hopper.cuh", text(PackageResources.attention_hopper_cuh)),
        ("attention_hopper_backward.cuh", text(PackageResources.attention_hopper_backward_cuh)),
        ("attention_hopper_forward.cuh", text(PackageResources.attention_hopper_forward_cuh)),
        ("head_policies.cuh", text(PackageResources.head_policies_cuh)),
        ("head_sums.cuh", text(PackageResources.head_sums_cuh)),
        ("head_tiles.cuh", text(PackageResources.head_tiles_cuh)),
        ("hopper.cuh", text(PackageResources.hopper_cuh)),
        ("long_convolution.cuh", text(PackageResources.long_convolution_cuh)),
        ("scan.cuh", text(PackageResources.scan_cuh)),
        ("scan_lanes.cuh", text(PackageResources.scan_lanes_cuh)),
        ("softmax_policy.cuh", text(PackageResources.softmax_policy_cuh)),
        ("taylor.cuh", text(PackageResources.taylor_cuh)),
    ]

    static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// Compiles one module, or a group of its kernels.
    ///
    /// - Parameters:
    ///   - name: "NAME", or "NAME@GROUP" for the kernels that the source has under `#if defined(GROUP_…)`.
    ///   - capability: 80, 90…
    /// - Throws: `RuntimeCompiler.CompilationFailure`.
    public static func compile(_ name: String, _ compiler: RuntimeCompiler, capability: Int) throws
        -> RuntimeCompiler.Compiled
    {
        let parts = parts(name)
        return try compiler.compile(
            text(source(of: name)),
            name: "\(parts.module).cu",
            headers: headers,
            options: options(name, capability: capability)
        )
    }

    static func source(of name: String) -> [UInt8] {
        guard let source = modules[parts(name).module] else {
            preconditionFailure("there is no module \(name)")
        }
        return source
    }

    static func options(_ name: String, capability: Int) -> [String] {
        let selection = parts(name).group.map { "GROUP_\($0)" } ?? "ALL"
        // With "a" the compiler takes Hopper's products of warpgroups too, which later cards lack.
        let architecture = "sm_\(capability)" + (capability == 90 ? "a" : "")
        return ["--gpu-architecture=\(architecture)", "--std=c++17", "-default-device", "-D\(selection)"]
    }

    private static func parts(_ name: String) -> (module: String, group: String?) {
        let parts = name.split(separator: "@").map(String.init)
        return (parts[0], parts.count > 1 ? parts[1] : nil)
    }
}

/// The kernels' machine code for a device, compiled at first use and kept on disk for the next process.
final class KernelLibrary {
    private let device: CUDADevice
    private let compiler: RuntimeCompiler
    private let cache: URL?
    private var modules: [String: DriverObject] = [:]
    private var functions: [String: DriverObject] = [:]

    /// - Throws: `BackendError.unavailable` where there is no NVRTC.
    init(_ device: CUDADevice) throws {
        self.device = device
        compiler = try RuntimeCompiler()
        cache = Self.cacheFolder
    }

    /// NVRTC's.
    var compilerVersion: String { compiler.version }

    /// A kernel by its module's and its own name.
    ///
    /// - Throws: `BackendError.failed` for one that does not compile or load here.
    func function(_ module: String, _ name: String) throws(BackendError) -> DriverObject {
        let key = "\(module)/\(name)"
        if let function = functions[key] { return function }
        let driver = device.driver
        var function: DriverObject?
        try driver.require(driver.moduleFunction(&function, load(module), name), "the kernel \(key)")
        guard let function else { preconditionFailure("no kernel \(key)") }
        functions[key] = function
        return function
    }

    /// Lets a kernel have so many bytes of dynamic shared memory, where they are more than any may.
    ///
    /// - Throws: `BackendError.failed` where they are more than the device has.
    func allow(_ function: DriverObject, sharedMemory bytes: Int) throws(BackendError) {
        guard bytes > 48 << 10, allowed[function, default: 0] < bytes else { return }
        // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        try device.driver.require(
            device.driver.setFunctionAttribute(function, 8, Int32(clamping: bytes)),
            "\(bytes) bytes of shared memory for a block"
        )
        allowed[function] = bytes
    }

    private var allowed: [DriverObject: Int] = [:]

    private func load(_ name: String) throws(BackendError) -> DriverObject {
        if let module = modules[name] { return module }
        let code = try code(name)
        var module: DriverObject?
        let status = CUDADevice.exclusively { device.driver.loadModule(&module, code) }
        try device.driver.require(status, "the kernels of \(name)")
        guard let module else { preconditionFailure("no module \(name)") }
        modules[name] = module
        return module
    }

    private func code(_ name: String) throws(BackendError) -> [UInt8] {
        let file = cache?.appendingPathComponent("\(name)-\(hash(name)).cubin")
        if let file, let code = try? Data(contentsOf: file), !code.isEmpty { return Array(code) }
        do {
            let code = try KernelSources.compile(name, compiler, capability: device.capability).machineCode
            if let file {
                // A cache that cannot be written costs seconds at the next start, no more.
                try? FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(),
                    withIntermediateDirectories: true
                )
                try? Data(code).write(to: file, options: .atomic)
            }
            return code
        } catch { throw (error as? BackendError) ?? .failed("CUDA: \(error)") }
    }

    /// Of everything that the code is made from.
    private func hash(_ name: String) -> String {
        var hash = SHA256()
        for text in [compiler.version] + KernelSources.options(name, capability: device.capability) {
            hash.update(data: Data(text.utf8))
            hash.update(data: [0])
        }
        for (name, text) in KernelSources.headers { hash.update(data: Data("\(name)\0\(text)\0".utf8)) }
        hash.update(data: KernelSources.source(of: name))
        return hash.finalize().prefix(12).map { String(format: "%02x", $0) }.joined()
    }

    private static var cacheFolder: URL? {
        if let folder = ProcessEnvironment.value("XDG_CACHE_HOME"), !folder.isEmpty {
            return URL(fileURLWithPath: folder).appendingPathComponent("recall-bench/kernels")
        }
        guard let home = ProcessEnvironment.value("HOME"), !home.isEmpty else { return nil }
        return URL(fileURLWithPath: home).appendingPathComponent(".cache/recall-bench/kernels")
    }
}
