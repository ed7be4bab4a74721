#include "answer.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "failure.hpp"

namespace s2m {

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

Predict checked(Predict predict, std::size_t count, std::string picture) {
  return [predict = std::move(predict), count, picture = std::move(picture)](const auto& fitted, double& milliseconds) {
    std::vector<float> found = predict(fitted, milliseconds);
    if (found.size() != count)
      throw AnswerFailure(picture + ": the artifact gives " + std::to_string(found.size()) + " values where " +
                              std::to_string(count) + " were due",
                          kExportAgain);
    if (!all_finite(found))  // it would pass for an empty mask
      throw AnswerFailure(picture + ": the artifact's answer is not a number; no mask is made of it",
                          "Export the bundle again, in float32 where it was not.");
    return found;
  };
}

}  // namespace s2m
