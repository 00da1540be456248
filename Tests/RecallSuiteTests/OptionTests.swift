import RecallModels
import RecallSuite
import Testing

private let keysOfOnly =
    "model, task, d_model, learning_rate, seed or a setting of models and mixers, such as feature_dim"

@Suite struct OptionTests {
    private func message(_ body: () throws -> some Any) -> String {
        do {
            return "no error: \(try body())"
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: [
        ("windw", "window"), ("window", "window"), ("wnidow", "window"), ("heds", "heads"), ("HEADS", "heads"),
        ("feature", "feature_dim"), ("fd", nil), ("x", nil), ("", nil), ("kernel", nil), ("elu", "elu+1"),
    ])
    func nearestWord(_ word: String, _ expected: String?) {
        #expect(nearest(word, in: ["window", "heads", "feature_dim", "relu", "elu+1"]) == expected)
    }

    @Test func filterJoinsKeysAndOffersAlternatives() throws {
        let runs = try suite(plainSuite).expand()
        func count(_ options: String...) throws -> Int { try RunFilter(options).select(from: runs).count }
        #expect(try count() == 10)
        #expect(try count("model=first") == 2)
        #expect(try count("model=second,d_model=16") == 4)
        #expect(try count("model=second,d_model=16,learning_rate=1e-2") == 2)
        #expect(try count("d_model=16,d_model=32.0") == 10)
        #expect(try count("model=first", "model=second") == 10)
        #expect(try count("model=second", "d_model=32") == 4)
        #expect(try count(" learning_rate = .001 ") == 5)
        #expect(try count("seed=0,task=mqar") == 10)
        #expect(try count("task=\(runs[0].taskHash.prefix(8))") == 10)
        #expect(try count("model=f*") == 2)
        #expect(try count("model=*s*,d_model=16") == 6)
        #expect(try count("model=?????") == 2)
        #expect(try count("task=m*r") == 10)
        #expect(RunFilter().matches(runs[0]))
        #expect(try !RunFilter(["model=second"]).matches(runs[0]))
    }

    @Test(arguments: [
        ("modle=first", "--only: there is no key 'modle'; did you mean 'model'?"),
        ("feature_dm=4", "--only: there is no key 'feature_dm'; did you mean 'feature_dim'?"),
        ("zebra=1", "--only: there is no key 'zebra'; there are \(keysOfOnly)"),
        ("first", "--only: 'first' is no condition; write KEY=VALUE, with a key of \(keysOfOnly)"),
        ("model=", "--only: model has no value; write model=VALUE"),
        ("", "--only: '' is no condition; write KEY=VALUE, with a key of \(keysOfOnly)"),
        ("model=first,", "--only: '' is no condition; write KEY=VALUE, with a key of \(keysOfOnly)"),
        ("model=third*", "--only: no run has model 'third*'; there are first, second"),
        ("feature_dim=5", "--only: no run has feature_dim '5'; there are 4, 8"),
        ("feature_map=elu1", "--only: no run has feature_map 'elu1'; did you mean 'elu+1'?"),
        ("window=4", "--only: no model of these runs has the setting window"),
        ("model=first,feature_dim=8", "--only: each condition has runs, but no run meets all of them"),
        ("d_model=wide", "--only: d_model must be a whole number, not 'wide'"),
        ("d_model=16.5", "--only: d_model must be a whole number, not '16.5'"),
        ("seed=-1", "--only: seed must be a whole number, not '-1'"),
        ("learning_rate=nan", "--only: learning_rate must be a number, not 'nan'"),
        ("model=frist", "--only: no run has model 'frist'; did you mean 'first'?"),
        ("d_model=64", "--only: no run has d_model '64'; there are 16, 32"),
        ("learning_rate=0.1", "--only: no run has learning_rate '0.1'; there are 0.01, 0.001"),
        ("model=first,d_model=32", "--only: each condition has runs, but no run meets all of them"),
    ])
    func filterRefuses(_ option: String, _ expected: String) throws {
        let runs = try suite(plainSuite).expand()
        #expect(message { try RunFilter([option]).select(from: runs) } == expected)
    }

    /// Every setting of every mixer that the runs have is a key, by any of its values, defaults among them.
    @Test func filterTakesSettings() throws {
        let runs = try suite(plainSuite).expand()
        func count(_ options: String...) throws -> Int { try RunFilter(options).select(from: runs).count }
        #expect(try count("feature_dim=8") == 4)
        #expect(try count("feature_dim=4,feature_dim=8.0") == 8)
        #expect(try count("feature_dim=8,d_model=32") == 2)
        #expect(try count("heads=2") == 2)
        #expect(try count("block=transformer") == 10)
        #expect(try count("embed_dropout=1e-1") == 10)
        #expect(try count("feature_map=elu*") == 8)
        for run in runs {
            for layer in run.spec.model.layers {
                for knob in MixerRegistry.description(of: layer.mixer)?.knobs ?? [] {
                    let value = layer.knobs[knob.name] ?? knob.defaultValue
                    #expect(try RunFilter(["\(knob.name)=\(value)"]).matches(run), "\(knob.name)=\(value)")
                }
            }
        }
    }

    @Test(arguments: [
        ("", "", true), ("", "a", false), ("*", "", true), ("*", "abc", true), ("a*c", "ac", true),
        ("a*c", "abcbc", true), ("a*c", "abcb", false), ("*b*", "abc", true), ("a?c", "abc", true),
        ("a?c", "ac", false), ("**a", "ba", true), ("abc", "abc", true), ("abc", "abcd", false),
        ("*aab", "aaaab", true), ("?", "", false),
    ])
    func globs(_ pattern: String, _ text: String, _ expected: Bool) {
        #expect(GlobPattern(pattern).matches(text) == expected)
    }

    @Test func ratesTakeThePlaceOfAListAndOfASearch() throws {
        let listed = try suite(plainSuite).trying([0.1, 0.2, 0.3])
        #expect(listed.trainings.map(\.learningRate) == [0.1, 0.2, 0.3])
        #expect(listed.expand().count == 15 && listed.mostRuns == 15)
        let grid = try suite(edited("batch_size: 8", "batch_size: [8, 4]"))
        #expect(grid.trying([0.1]).trainings.map(\.batchSize) == [8, 4])
        let searched = try suite(edited("[0.01, 0.001]", "{search: {from: 0.001, to: 0.01}}"))
        #expect(searched.search != nil && searched.trying([0.1]).search == nil)
        #expect(searched.trying([0.1]).expand().count == 5)
    }

    @Test func shardsPartTheRuns() throws {
        let runs = Array(0..<10)
        #expect(try Shard("0/3").select(from: runs) == [0, 3, 6, 9])
        #expect(try Shard("2/3").select(from: runs) == [2, 5, 8])
        #expect(try Shard("0/1").select(from: runs) == runs)
        #expect(try Shard("19/20").select(from: runs) == [])
        #expect(try "\(Shard("2/3"))" == "2/3")
        #expect(
            message { try Shard("3/3") } == "--shard: I counts from 0, so it must be below N: 3 is not below 3"
        )
        #expect(message { try Shard("0/0") } == "--shard: N must be at least 1, not 0")
        for text in ["", "1", "a/b", "-1/3", "1/2/3", "+1/3", "/3", "1/", "1/99999999999999999999"] {
            #expect(message { try Shard(text) } == "--shard: must be I/N, such as 0/4, not '\(text)'")
        }
    }

    @Test(arguments: [
        ("4096", 4096, "4.0 KiB"), ("2KiB", 2048, "2.0 KiB"), ("64 KiB", 65536, "64.0 KiB"),
        ("1mib", 1 << 20, "1.0 MiB"),
        ("1.5KiB", 1536, "1.5 KiB"), ("512 B", 512, "512 B"), ("12.3017578125 KiB", 12597, "12.3 KiB"),
        ("1023", 1023, "1023 B"), ("1GiB", 1 << 30, "1.0 GiB"), ("3 TiB", 3 << 40, "3.0 TiB"), ("1", 1, "1 B"),
        ("1048575", 1_048_575, "1.0 MiB"), ("1048000", 1_048_000, "1023.4 KiB"),
    ])
    func sizes(_ text: String, _ bytes: Int, _ shown: String) throws {
        let size = try ByteSize(text)
        #expect(size.bytes == bytes)
        #expect("\(size)" == shown)
    }

    @Test(arguments: [
        ("", "--sizes: '' is no size; write bytes or a unit, such as 4096, 2KiB, 1MiB"),
        ("-3", "--sizes: '-3' is no size; write bytes or a unit, such as 4096, 2KiB, 1MiB"),
        ("KiB", "--sizes: 'KiB' is no size; write bytes or a unit, such as 4096, 2KiB, 1MiB"),
        ("2KB", "--sizes: unknown unit in '2KB'; write 2KiB, in powers of 1024"),
        ("2M", "--sizes: unknown unit in '2M'; write 2MiB, in powers of 1024"),
        ("2 furlongs", "--sizes: unknown unit in '2 furlongs'; there are B, KiB, MiB, GiB, TiB, PiB, EiB"),
        ("0", "--sizes: '0' is less than one byte"), ("1.5", "--sizes: '1.5' is not a whole number of bytes"),
        ("99999999999TiB", "--sizes: '99999999999TiB' is too large"),
    ])
    func sizesRefused(_ text: String, _ expected: String) {
        #expect(message { try ByteSize(text) } == expected)
    }

    @Test func sizesFormatAndCompare() {
        #expect(ByteSize(bytes: 0).description == "0 B")
        #expect(ByteSize(bytes: -1536).description == "-1.5 KiB")
        // 512.75 is halfway: the even one.
        #expect(ByteSize(bytes: 525_056).description == "512.8 KiB")
        #expect(ByteSize(bytes: 16_640).description == "16.2 KiB")
        #expect(ByteSize(bytes: 16_641).description == "16.3 KiB")
        #expect(
            ByteSize(bytes: .max).description == "8.0 EiB" && ByteSize(bytes: .min).description == "-8.0 EiB"
        )
        #expect(ByteSize(bytes: 5) < ByteSize(bytes: 6))
    }
}
