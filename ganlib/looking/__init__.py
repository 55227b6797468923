"""What a trained generator can do: walks, arithmetic, completion; pictures of it, and its ONNX file.

In: a model's folder, images. Out: arrays and pictures for people.
"""
