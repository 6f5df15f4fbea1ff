//! Distances, nearest neighbours, coverings and clusterings of point sets
