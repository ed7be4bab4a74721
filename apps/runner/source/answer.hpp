// What a network answers, checked before anything is made of it: no number, no mask.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace s2m {

// Probabilities outputs x height x width of a fitted picture height x width x channels; sets the milliseconds that it took.
using Predict = std::function<std::vector<float>(const std::vector<std::uint8_t>& fitted, double& milliseconds)>;

bool all_finite(const std::vector<float>& values);

// `predict` that throws AnswerFailure, which names the picture, unless its answer is `count` finite values.
Predict checked(Predict predict, std::size_t count, std::string picture);

}  // namespace s2m
