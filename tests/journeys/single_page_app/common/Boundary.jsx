import { Component } from "react";

/** Shows a notice in the place of a part of the page that cannot be read. */
export class Boundary extends Component {
  state = { hasFailed: false };

  static getDerivedStateFromError() {
    return { hasFailed: true };
  }

  render() {
    return this.state.hasFailed ? <p role="alert">{this.props.notice}</p> : this.props.children;
  }
}
