#include "label.hpp"

namespace s2m {

Labelled label_picture(const Picture& picture, const std::string& name, const Contract& contract, float threshold,
                       const Predict& predict, const Progress& progress, const Band& band) {
  const Preprocessing& preprocessing = contract.preprocessing;
  const std::size_t outputs = contract.outputs;
  const Predict answer = checked(predict, outputs * preprocessing.height * preprocessing.width, name);
  Labelled result{{}, 0, 0};
  const auto run = [&](const Picture& part) {
    double milliseconds = 0;
    std::vector<float> found = answer(fit_to_network(part, preprocessing), milliseconds);
    ++result.windows;
    result.network_milliseconds += milliseconds;
    return found;
  };
  if (!preprocessing.window) {
    const std::vector<float> found = run(picture);
    band(0, preprocessing.height, found);
    result.labels = mask_in_original_size(found, outputs, preprocessing, picture.height, picture.width, threshold);
    return result;
  }
  result.labels.reserve(picture.width * picture.height);
  slide(picture, preprocessing, outputs, run, progress, [&](std::size_t top, std::size_t rows, const auto& found) {
    band(top, rows, found);
    const std::vector<std::uint8_t> decided = decide(found, outputs, threshold);
    result.labels.insert(result.labels.end(), decided.begin(), decided.end());
  });
  return result;
}

}  // namespace s2m
