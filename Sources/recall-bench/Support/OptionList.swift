import ArgumentParser
import Foundation

/// Options whose value is a list with commas.
enum OptionList {
    /// - Throws: `ValidationError` for an item that is empty or there twice.
    static func items(_ text: String, option: String) throws -> [String] {
        let items = text.split(separator: ",", omittingEmptySubsequences: false).map {
            $0.trimmingCharacters(in: .whitespaces)
        }
        guard items.allSatisfy({ !$0.isEmpty }) else {
            throw ValidationError("\(option): '\(text)' has an empty item")
        }
        guard Set(items).count == items.count else {
            throw ValidationError("\(option): '\(text)' has an item twice")
        }
        return items
    }

    /// The value of `--learning-rates`; nil where it is not given.
    ///
    /// - Throws: `ValidationError` for an item that is no learning rate, or that is there twice.
    static func learningRates(_ text: String?) throws -> [Double]? {
        guard let text else { return nil }
        let rates = try items(text, option: "--learning-rates").map { item in
            guard let rate = Double(item), rate.isFinite, rate > 0 else {
                throw ValidationError("--learning-rates: '\(item)' is not a number above 0")
            }
            return rate
        }
        guard Set(rates).count == rates.count else {
            throw ValidationError("--learning-rates: '\(text)' has a rate twice")
        }
        return rates
    }
}
