// A picture in, labels out, exactly as the contract says: stretched there and back, or in windows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "answer.hpp"
#include "contract.hpp"
#include "preprocess.hpp"
#include "window.hpp"

namespace s2m {

struct Labelled {
  std::vector<std::uint8_t> labels;  // in the picture's size, 0 is background
  std::size_t windows;               // how often the network ran
  double network_milliseconds;       // in all of them
};

// Segment a picture. `name` is for messages; `band` also sees the probabilities before they are decided: of the network's
// rows where the picture is stretched, of the picture's where the network slides. Throws AnswerFailure: the answer is no
// number; ImageFailure: see slide.
Labelled label_picture(const Picture& picture, const std::string& name, const Contract& contract, float threshold,
                       const Predict& predict, const Progress& progress, const Band& band);

}  // namespace s2m
